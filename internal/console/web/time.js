// Dates and times in the viewer's own zone.

export const MINUTE = 60_000, HOUR = 60 * MINUTE, DAY = 24 * HOUR;

const format = (options) => new Intl.DateTimeFormat("en-GB", options).format;
const two = "2-digit";
const clock = format({ hour: two, minute: two, second: two });
const short = format({ hour: two, minute: two });
const date = format({ day: "numeric", month: "short" });
const dateYear = format({ day: "numeric", month: "short", year: "numeric" });
const long = format({ weekday: "long", day: "numeric", month: "long", year: "numeric", hour: two, minute: two, second: two });

/** offset is how far the viewer's clock is from UTC, as "UTC+1". */
export function offset(at = Date.now()) {
  const minutes = -new Date(at).getTimezoneOffset(), size = Math.abs(minutes), rest = size % 60;
  return minutes === 0 ? "UTC" : `UTC${minutes < 0 ? "\u2212" : "+"}${Math.floor(size / 60)}${rest ? `:${rest}` : ""}`;
}

/** zone is the viewer's zone, as "Europe/Berlin, UTC+1". */
export function zone(at = Date.now()) {
  const name = Intl.DateTimeFormat().resolvedOptions().timeZone;
  return name === "UTC" ? name : `${name}, ${offset(at)}`;
}

/** day is the date of a moment; the year only when it is not this one. */
export const day = (at) => (new Date(at).getFullYear() === new Date().getFullYear() ? date : dateYear)(at);
/** time is the time of day with seconds. */
export const time = (at) => clock(at);
/** moment is a date and time in full, with the zone. */
export const moment = (at) => `${long(at)} (${zone(at)})`;

/** ago is how long a moment is past, roughly. */
export function ago(at, now = Date.now()) {
  const past = now - at;
  for (const [unit, name] of [[DAY, "day"], [HOUR, "hour"], [MINUTE, "minute"]]) {
    const count = Math.floor(past / unit);
    if (count >= 1) return `${count} ${name}${count === 1 ? "" : "s"} ago`;
  }
  return "less than a minute ago";
}

/** toInput is a moment as the value of an input of the type datetime-local. */
export function toInput(at) {
  const local = new Date(at - new Date(at).getTimezoneOffset() * MINUTE);
  return local.toISOString().slice(0, 16);
}

/** fromInput is what such an input says; NaN for nothing. */
export const fromInput = (value) => (value ? new Date(value).getTime() : NaN);

const steps = [
  1000, 5000, 10_000, 30_000, MINUTE, 2 * MINUTE, 5 * MINUTE, 10 * MINUTE, 15 * MINUTE, 30 * MINUTE, HOUR, 2 * HOUR, 3 * HOUR,
  6 * HOUR, 12 * HOUR, DAY, 2 * DAY, 7 * DAY, 14 * DAY, 30 * DAY, 90 * DAY, 365 * DAY,
];

/** step is the shortest round span of which a period has at most so many. */
export const step = (period, most) => steps.find((each) => period / each <= most) ?? steps.at(-1);

/** ticks are round moments of a period with their labels. */
export function ticks(start, end, most) {
  const every = step(end - start, most);
  const shift = new Date(start).getTimezoneOffset() * MINUTE;
  const found = [];
  for (let at = Math.ceil((start - shift) / every) * every + shift; at <= end; at += every) {
    found.push({ at, label: every >= DAY || isMidnight(at) ? day(at) : every < MINUTE ? clock(at) : short(at) });
  }
  return found;
}

const isMidnight = (at) => new Date(at).getHours() === 0 && new Date(at).getMinutes() === 0;
