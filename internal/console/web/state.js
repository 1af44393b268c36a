// What is being looked at. It lives in the address, so that a view can be kept, sent and gone back to.

import { DAY, HOUR } from "./time.js";

/** periods are the spans that can be chosen by name. */
export const periods = { "1h": HOUR, "24h": DAY, "7d": 7 * DAY, "30d": 30 * DAY };
export const usual = "24h";

/** names are the filters, as they are called in the address. */
export const filters = ["action", "kind", "user", "project", "outcome", "find"];
const known = new Set(["page", "last", "start", "end", "own", "event", ...filters]);

const listeners = new Set();
let now = Date.now();

/** read is the present state: a field that is not set is "". */
export function read() {
  const given = new URLSearchParams(location.search);
  const state = {};
  for (const name of known) state[name] = given.get(name) ?? "";
  return state;
}

/** address is where a changed state is. */
export function address(change) {
  const state = { ...read(), ...change };
  const query = new URLSearchParams();
  for (const name of known) if (state[name]) query.set(name, state[name]);
  const text = query.toString();
  return text ? `/?${text}` : "/";
}

/** write changes the state. Each change is a step that the browser can go back, unless it replaces the last one. */
export function write(change, { replace = false } = {}) {
  const target = address(change);
  if (target === location.pathname + location.search) return;
  history[replace ? "replaceState" : "pushState"](null, "", target);
  tell();
}

/** onChange calls a listener after each change, also of the browser's own. */
export const onChange = (listener) => listeners.add(listener);

function tell() {
  for (const listener of listeners) listener(read());
}
addEventListener("popstate", tell);

/** refreshClock moves the end of periods that end now. */
export function refreshClock() {
  now = Date.now();
}

/** period is the start and end of what is looked at, in milliseconds. */
export function period(state) {
  const start = Date.parse(state.start), end = Date.parse(state.end);
  const span = periods[state.last] ?? periods[usual];
  const until = Number.isNaN(end) ? now : end;
  const from = Number.isNaN(start) ? until - span : start;
  return from < until ? { start: from, end: until } : { start: until - span, end: until };
}
