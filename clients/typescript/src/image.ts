/** An image: what it holds, or a stream of it, which is read once. */
export type Image = Blob | ArrayBuffer | Uint8Array<ArrayBuffer> | ReadableStream<Uint8Array>;

export function blobOf(image: Image): Blob | Promise<Blob> {
  if (image instanceof Blob) return image;
  return image instanceof ReadableStream ? new Response(image).blob() : new Blob([image]);
}
