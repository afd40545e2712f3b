/** The device's camera, with the frame of the shot over what it sees. */
import { $, t } from "./dom.js";

const WANTED = { audio: false, video: { facingMode: "environment", width: { ideal: 2048 }, height: { ideal: 1536 } } };
const JPEG_QUALITY = 0.95;

/** Whether this page may ask for a camera: on secure origins alone. */
export const canFrame = () => Boolean(globalThis.isSecureContext && navigator.mediaDevices?.getUserMedia);

/** Let a person take a photo of `shot`; resolves with it, "OTHER" for the camera application, or null for none. */
export async function photograph({ name, hint, frame }) {
  const dialog = $("camera"), video = dialog.querySelector("video");
  const stream = await navigator.mediaDevices.getUserMedia(WANTED).catch(() => null);
  if (!stream) return "OTHER";
  $("camera-title").textContent = name;
  $("camera-hint").textContent = hint;
  dialog.querySelector("svg").replaceChildren(frame.cloneNode(true));
  video.srcObject = stream;
  dialog.showModal();
  try {
    await video.play();
    const answer = await tapped(dialog);
    return answer === "YES" ? await still(video) : answer;
  } finally {
    for (const track of stream.getTracks()) track.stop();
    video.srcObject = null;
    dialog.close();
  }
}

const tapped = (dialog) => new Promise((done) => {
  $("camera-yes").onclick = () => done("YES");
  $("camera-other").onclick = () => done("OTHER");
  $("camera-no").onclick = dialog.oncancel = () => done(null);
});

function still(video) {
  const canvas = Object.assign(document.createElement("canvas"), { width: video.videoWidth, height: video.videoHeight });
  canvas.getContext("2d", { alpha: false }).drawImage(video, 0, 0);
  return new Promise((done) => canvas.toBlob(done, "image/jpeg", JPEG_QUALITY));
}
