/** What was begun, kept on this device alone: until it is sent, for 24 hours at most. Without IndexedDB nothing is kept. */
const HOURS = 24;
const MOST_WAIT_MS = 2000; // Safari 14 never answered the first open after it was started: https://bugs.webkit.org/show_bug.cgi?id=226547
const NONE = { images: [], answers: {}, consent: null, agreed: false, secondRead: false, step: null, key: null, sending: false };

const late = () => new Promise((done) => { setTimeout(() => done(null), MOST_WAIT_MS); });

const opened = new Promise((done) => {
  late().then(done);
  try {
    const request = indexedDB.open("dermis", 1);
    request.onupgradeneeded = () => request.result.createObjectStore("draft");
    request.onsuccess = () => done(request.result);
    request.onerror = () => done(null);
  } catch { done(null); }
});

async function run(mode, work) {
  const database = await opened;
  if (!database) return null;
  return new Promise((done) => {
    const transaction = database.transaction("draft", mode), request = work(transaction.objectStore("draft"));
    transaction.oncomplete = () => done(request.result ?? null);
    transaction.onerror = transaction.onabort = () => done(null);
  });
}

export const clear = () => run("readwrite", (store) => store.delete("case"));
export const save = (draft) => run("readwrite", (store) => store.put({ ...draft, saved_at: Date.now() }, "case"));

/** Return the draft that is kept, a new one if there is none, its time is over, or the database is too busy to say. */
export async function load() {
  const kept = await Promise.race([run("readonly", (store) => store.get("case")), late()]);
  if (kept && Date.now() - kept.saved_at < HOURS * 3600 * 1000) return { ...NONE, ...kept };
  if (kept) await clear();
  return structuredClone(NONE);
}
