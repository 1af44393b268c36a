// Calls of the server. Each carries the viewer's token, which is kept for this tab only.

const key = "trailkeeper-token";
const deadline = 30_000;

export const session = {
  get token() { return sessionStorage.getItem(key) ?? ""; },
  set token(value) {
    if (value) sessionStorage.setItem(key, value);
    else sessionStorage.removeItem(key);
  },
  /** ended is called when the server does not know the token any more. */
  ended: () => {},
};

/** Refusal is an answer that is none. status is 0 when the server could not be reached. */
export class Refusal extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

/** ask makes a call and returns the answer as it arrives. It throws a Refusal. */
export async function ask(path, { method = "GET", body, type = "application/json", signal, limit = deadline } = {}) {
  const headers = { Authorization: `Bearer ${session.token}`, Accept: "application/json" };
  if (body !== undefined) headers["Content-Type"] = type;
  const timeout = limit ? AbortSignal.timeout(limit) : undefined;
  const ends = AbortSignal.any([signal, timeout].filter(Boolean));
  let answer;
  try {
    answer = await fetch(path, {
      method, headers, body: body === undefined ? undefined : JSON.stringify(body), signal: ends, credentials: "omit", redirect: "error",
    });
  } catch (error) {
    if (signal?.aborted) throw error;
    throw new Refusal(0, timeout?.aborted ? "The server takes too long to answer." : "The server cannot be reached.");
  }
  if (answer.ok) return answer;
  const refusal = new Refusal(answer.status, await reason(answer));
  if (answer.status === 401) session.ended(refusal);
  throw refusal;
}

/** get is the answer of a call as a value. */
export const get = async (path, options) => (await ask(path, options)).json();

async function reason(answer) {
  try {
    const said = await answer.json();
    return said.message || answer.statusText;
  } catch {
    return answer.statusText || `The server answers ${answer.status}.`;
  }
}

const part = encodeURIComponent;

/** event is the path of one event. */
export const eventPath = (namespace, name) => `/v1alpha1/namespaces/${part(namespace)}/auditevents/${part(name)}`;

/** trailsPath is the path of all trails, or of those of a project. */
export const trailsPath = (namespace) => (namespace ? `/v1alpha1/namespaces/${part(namespace)}/audittrails` : "/v1alpha1/audittrails");

/** trailPath is the path of one trail. */
export const trailPath = (namespace, name) => `${trailsPath(namespace)}/${part(name)}`;

export const noteKey = "audit.trailkeeper.dev/note";

/** addNote explains an event afterwards. */
export const addNote = (namespace, name, note) =>
  get(eventPath(namespace, name), { method: "PATCH", body: { metadata: { annotations: { [noteKey]: note } } } });
