// The changes that were read, newest first, and those of them that the filters want. All of a period is read once, as thin rows;
// filters and parts of the period are then answered here, at once.

import { ask } from "./api.js";
import { filters, period } from "./state.js";

/** most is how many rows are kept. */
export const most = 100_000;
const page = 1000;

export class Rows {
  constructor(onChange) {
    this.onChange = onChange;
    this.clear();
  }

  clear() {
    this.reading?.abort();
    Object.assign(this, { all: [], shown: [], reading: null, done: false, cut: false, error: null, from: null });
  }

  /** want shows what a state asks for, and reads it when that was not done yet. */
  want(state, again = false) {
    this.state = state;
    const asked = { ...period(state), namespace: state.own ? state.project : "" };
    if (again || !this.has(asked)) {
      this.read(asked);
      this.filtered = "";
    }
    // Opening a change is no reason to make the table anew.
    const filtered = JSON.stringify([asked, ...filters.map((name) => state[name])]);
    if (filtered !== this.filtered) this.filter();
    this.filtered = filtered;
  }

  has(asked) {
    const from = this.from;
    return from && !this.error && from.namespace === asked.namespace && from.start <= asked.start && asked.end <= from.end &&
      !(this.cut && asked.end < this.all.at(-1).time);
  }

  filter() {
    this.wanted = wantedBy(this.state);
    this.shown = this.all.filter(this.wanted);
    this.onChange();
  }

  async read(asked) {
    this.clear();
    this.from = asked;
    const reading = this.reading = new AbortController();
    try {
      for await (const rows of pages(asked, reading.signal)) {
        if (reading.signal.aborted) return;
        this.add(rows);
        if (this.all.length >= most) {
          this.cut = true;
          break;
        }
      }
      this.done = true;
    } catch (error) {
      if (reading.signal.aborted) return;
      this.error = error;
    }
    reading.abort();
    this.onChange();
  }

  add(rows) {
    for (const row of rows.slice(0, most - this.all.length)) {
      this.all.push(row);
      if (this.wanted(row)) this.shown.push(row);
    }
    this.onChange();
  }

  /** find is the row of an event, if it was read. */
  find = (namespace, name) => this.all.find((row) => row.name === name && row.namespace === namespace);

  /** near are the rows of the same object, newest first. */
  near(row, count) {
    const found = [];
    for (const other of this.all) {
      if (sameObject(row, other) && found.push(other) === count) break;
    }
    return found;
  }
}

const sameObject = (a, b) => (a.uid && a.uid === b.uid) ||
  (a.object === b.object && a.place === b.place && a.kind === b.kind && a.group === b.group);

/** pages reads a period, newest first. */
async function* pages({ start, end, namespace }, signal) {
  const query = new URLSearchParams({ startTime: new Date(start).toISOString(), endTime: new Date(end).toISOString(), limit: page, order: "newest" });
  if (namespace) query.set("projectUid", namespace);
  for (;;) {
    const list = await (await ask(`/v1alpha1/events?${query}`, { signal })).json();
    yield list.items.map(thin);
    if (!list.metadata?.continue) return;
    query.set("continue", list.metadata.continue);
  }
}

/** archived is an event that is no longer in the cluster, from where the server found its row; undefined when it is not there either. */
export async function archived(row, project, signal) {
  const query = new URLSearchParams({ startTime: new Date(row.time - 1000).toISOString(), endTime: new Date(row.time + 1000).toISOString(), limit: page });
  if (project) query.set("projectUid", project);
  const list = await (await ask(`/v1alpha1/events?${query}`, { signal })).json();
  return list.items.find((event) => event.metadata.name === row.name);
}

/** thin is a row of an event: what the table needs. */
export function thin(event) {
  const { spec, metadata, status } = event, object = spec.resource;
  return {
    name: metadata.name, namespace: metadata.namespace, time: Date.parse(spec.time), action: spec.action,
    group: object.group ?? "", kind: object.kind, place: object.namespace ?? "", object: object.name, part: object.subresource ?? "",
    uid: object.uid ?? "", user: spec.actor.username ?? "", outcome: event.outcome ?? status?.outcome ?? "", trail: spec.trailRef.name,
    note: spec.note ?? metadata.annotations?.["audit.trailkeeper.dev/note"] ?? (spec.notice?.message ?? ""),
  };
}

/** wantedBy is the test that a state's filters are. */
export function wantedBy(state) {
  const { start, end } = period(state), find = state.find.toLowerCase();
  const kind = state.kind.toLowerCase(), project = state.own ? "" : state.project;
  return (row) => row.time >= start && row.time <= end &&
    (!state.action || row.action === state.action) &&
    (!kind || row.kind.toLowerCase() === kind) &&
    (!state.user || row.user === state.user) &&
    (!project || row.place === project) &&
    (!state.outcome || row.outcome === state.outcome) &&
    (!find || `${row.object} ${row.note}`.toLowerCase().includes(find));
}
