// The page of changes: filters, timeline, table, and the one change that is looked at.

import { ask, session } from "./api.js";
import { Detail } from "./detail.js";
import { announce, h } from "./dom.js";
import { Filters } from "./filters.js";
import { button, notice, refused } from "./notices.js";
import { Rows, most } from "./rows.js";
import * as state from "./state.js";
import { Table } from "./table.js";
import { line } from "./text.js";
import { time } from "./time.js";
import { Timeline } from "./timeline.js";
import { look, sortWords, sorts } from "./words.js";

const count = new Intl.NumberFormat("en-GB").format;

export class Changes {
  name = "changes";

  constructor(root) {
    state.refreshClock();
    this.rows = new Rows(() => this.soon());
    this.filters = new Filters();
    this.timeline = new Timeline((start, end) => state.write({ last: "", start: iso(start), end: iso(end) }));
    this.table = new Table((row) => this.open(row));
    this.detail = new Detail(this.rows, (row) => this.open(row), () => this.close());
    this.summary = h("p", { id: "summary" }, "Reading …");
    this.counts = h("p", { class: "counts", "aria-hidden": "true" });
    this.wholePeriod = button("Last 24 hours", () => state.write({ last: "", start: "", end: "" }), "quiet");
    this.download = button("Download CSV", () => this.csv(), "quiet");
    this.message = h("div", { id: "message" });
    this.split = h("div", { class: "split" }, h("div", { class: "list" }, this.table.element, this.message), this.detail.element);
    this.view = h("div", {},
      h("div", { class: "head" }, h("h1", {}, "Changes"), this.summary, this.counts,
        h("div", { class: "right" }, this.wholePeriod, button("Refresh", () => this.refresh(), "quiet"), this.download)),
      this.filters.element, this.timeline.element, this.split);
    root.replaceChildren(this.view);
  }

  show(now) {
    this.now = now;
    this.wholePeriod.hidden = !now.start && !now.end;
    this.rows.want(now);
    this.detail.show(now.event);
    this.split.classList.toggle("open", Boolean(now.event));
    this.table.select(now.event);
  }

  leave() {
    this.rows.clear();
    this.table.leave();
    this.timeline.leave();
    cancelAnimationFrame(this.frame);
  }

  refresh() {
    state.refreshClock();
    this.rows.want(this.now, true);
  }

  // soon draws once a frame, however many rows arrive in it.
  soon() {
    cancelAnimationFrame(this.frame);
    this.frame = requestAnimationFrame(() => this.draw());
  }

  draw() {
    const { rows, now } = this, busy = !rows.done && !rows.error;
    this.filters.draw(now, rows.all);
    this.timeline.draw(state.period(now), rows.shown, unread(rows));
    this.timeline.element.hidden = Boolean(rows.error);
    this.table.draw(rows.shown, busy);
    this.detail.refresh();
    this.summary.textContent = summary(rows, now, busy);
    this.counts.replaceChildren(...legend(rows.shown));
    if (!busy && !rows.error) announce(this.summary.textContent);
    this.message.replaceChildren(...[this.messageFor(busy)].filter(Boolean));
    this.download.disabled = rows.shown.length === 0;
    this.view.toggleAttribute("data-busy", busy);
  }

  messageFor(busy) {
    const { rows, now } = this;
    if (rows.error) {
      const what = now.own ? `the changes of ${line(now.project)}` : "the changes of the whole cluster";
      return refused(rows.error, what, () => this.refresh(), (project) => state.write({ project, own: "1" }));
    }
    if (rows.shown.length > 0) {
      return rows.cut && h("p", { class: "list-end" },
        `Only the newest ${count(most)} changes of the period were read. Choose a shorter period to see older ones.`);
    }
    if (busy) return null;
    if (rows.all.length > 0) {
      const clear = Object.fromEntries(state.filters.map((name) => [name, ""]));
      return notice("No change fits", "Changes were recorded in this period, but none fits the filters.",
        button("Clear the filters", () => state.write({ ...clear, project: now.own ? now.project : "" }), "main"));
    }
    const longer = now.last !== "30d" && button("Look at the last 30 days", () => state.write({ last: "30d", start: "", end: "" }), "main");
    const trails = h("a", { class: "button", href: "/?page=trails" }, "Look at the trails");
    return notice("Nothing was recorded in this period", "Nothing changed, or no trail asks for what did. Trails say what is recorded.", longer, trails);
  }

  open(row) {
    this.opener = document.activeElement;
    state.write({ event: `${row.namespace}/${row.name}` });
  }

  close() {
    state.write({ event: "" });
    if (!this.table.focusSelected() && this.opener?.isConnected) this.opener.focus({ preventScroll: true });
  }

  // csv saves what the server makes of the same question, so that the file is the API's own.
  async csv() {
    this.download.disabled = true;
    this.download.textContent = "Downloading …";
    try {
      const answer = await ask(`/v1/audits.csv?${question(this.now)}`, { limit: 0 });
      const link = h("a", { href: URL.createObjectURL(await answer.blob()), download: `changes-${iso(Date.now()).slice(0, 10)}.csv` });
      link.click();
      setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
      announce("The CSV file was saved.");
    } catch (error) {
      if (session.token) this.message.prepend(h("p", { class: "problem", role: "alert" }, `The CSV file was not made: ${error.message}`));
    } finally {
      this.download.disabled = false;
      this.download.textContent = "Download CSV";
    }
  }
}

const iso = (at) => new Date(at).toISOString();

/** question is a state as the query API's parameters. */
export function question(now) {
  const { start, end } = state.period(now);
  const query = new URLSearchParams({ startTime: iso(start), endTime: iso(end) });
  const given = {
    actionType: now.action.toLowerCase(), resourceKind: now.kind, userUid: now.user, outcome: now.outcome,
    [now.own ? "projectUid" : "resourceNamespace"]: now.project,
  };
  for (const [name, value] of Object.entries(given)) if (value) query.set(name, value);
  return query;
}

// unread is the part of the period that is not known (yet): from its start to the oldest row.
function unread(rows) {
  if ((rows.done && !rows.cut) || rows.error) return null;
  return rows.all.at(-1)?.time ?? Infinity;
}

// legend says what the colours of the timeline mean, and how many there are of each.
function legend(shown) {
  const total = {};
  for (const row of shown) total[look(row)] = (total[look(row)] ?? 0) + 1;
  return sorts.filter((sort) => total[sort]).map((sort) => h("span", { class: `act ${sort}` }, `${count(total[sort])} ${sortWords[sort]}`));
}

function summary(rows, now, busy) {
  if (rows.error) return "";
  const { shown, all } = rows;
  const what = `${count(shown.length)} ${shown.length === 1 ? "change" : "changes"}`;
  const of = shown.length === all.length ? "" : ` of ${count(all.length)}`;
  const where = now.own ? ` in ${line(now.project)}` : "";
  return busy ? `${all.length ? what : "Reading"} …` : `${what}${of}${where}, as of ${time(rows.from.end)}`;
}
