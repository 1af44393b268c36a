// The page of trails: what each is, whether it is well, and what to do when it is not.

import { get, trailsPath } from "./api.js";
import { announce, h } from "./dom.js";
import { button, notice, projectForm, refused } from "./notices.js";
import * as state from "./state.js";
import { block, line } from "./text.js";
import { ago } from "./time.js";
import { deleteTrail, editTrail, suspendTrail } from "./trailform.js";
import { health } from "./trailspec.js";

const page = 500;
const refreshEvery = 5000;
const count = new Intl.NumberFormat("en-GB").format;

export class Trails {
  name = "trails";

  constructor(root) {
    this.list = h("div", { class: "trails" }, Array.from({ length: 3 }, bones));
    this.summary = h("p", {}, "Reading …");
    this.said = h("p", { class: "problem", role: "alert" });
    this.create = button("New trail", () => editTrail(null, (word) => this.done(word)), "main");
    root.replaceChildren(h("div", {}, h("div", { class: "head" }, h("h1", {}, "Trails"), this.summary, h("div", { class: "right" }, this.create)), this.said, this.list));
    this.timer = setInterval(() => { if (!document.hidden && !document.querySelector("dialog")) this.read(); }, refreshEvery);
  }

  leave() {
    clearInterval(this.timer);
    this.reading?.abort();
  }

  show(now) {
    this.project = now.project;
    this.read();
  }

  async read() {
    this.reading?.abort();
    const reading = this.reading = new AbortController();
    try {
      const trails = await readAll(this.project, reading.signal);
      if (!reading.signal.aborted) this.draw(trails);
    } catch (error) {
      if (reading.signal.aborted) return;
      this.summary.textContent = "";
      const what = this.project ? `the trails of ${line(this.project)}` : "the trails of the whole cluster";
      this.list.replaceChildren(refused(error, what, () => this.read(), (project) => state.write({ project, own: "1" })));
      this.seen = null;
    }
  }

  draw(trails) {
    const seen = JSON.stringify(trails.map((trail) => [trail.metadata.uid, trail.metadata.resourceVersion]));
    if (seen === this.seen) return;
    this.seen = seen;
    const bad = trails.filter((trail) => health(trail).look === "bad").length;
    this.summary.textContent = `${count(trails.length)} ${trails.length === 1 ? "trail" : "trails"}${this.project ? ` in ${line(this.project)}` : ""}${bad ? `, ${bad} ${bad === 1 ? "needs" : "need"} attention` : ""}`;
    if (trails.length === 0) {
      return this.list.replaceChildren(notice("No trail records anything here", "Make one, and every change that it asks for is recorded from then on.",
        button("New trail", () => editTrail(null, (word) => this.done(word)), "main")), !this.project && projectForm("Open a project", (project) => state.write({ project, own: "1" })) || "");
    }
    const open = new Set([...this.list.querySelectorAll("details[open]")].map((each) => each.dataset.uid));
    const focus = document.activeElement?.dataset?.key;
    this.list.replaceChildren(...trails.map((trail) => this.trail(trail, open.has(trail.metadata.uid))));
    if (focus) [...this.list.querySelectorAll("[data-key]")].find((each) => each.dataset.key === focus)?.focus();
  }

  trail(trail, open) {
    const { metadata, spec, status = {} } = trail, how = health(trail), delivery = status.delivery;
    const act = (label, what) => h("button", { type: "button", class: "quiet", "data-key": `${label} ${metadata.uid}`, "aria-label": `${label} ${metadata.name}`, onclick: what }, label);
    const numbers = spec.type === "ClusterOnly" ? null : h("p", {}, h("b", {}, count(delivery?.delivered ?? 0)), " delivered",
      delivery?.pending ? `, ${count(delivery.pending)} waiting` : "", delivery?.lastDeliveredTime ? `, last ${ago(Date.parse(delivery.lastDeliveredTime))}` : "");
    return h("article", { class: "trail" },
      h("h2", {}, h("bdi", {}, line(metadata.name)), h("small", {}, status.scope === "Tenant" ? "Whole cluster" : h("bdi", {}, `Project ${metadata.namespace}`))),
      h("div", {}, h("p", {}, h("b", {}, spec.type === "ClusterOnly" ? "Kept in the cluster only" : h("bdi", {}, line(spec.cloudWatch?.logGroupName)))),
        spec.type === "ClusterOnly" ? null : h("p", {}, line(spec.cloudWatch?.region))),
      h("div", {}, h("p", { class: `health ${how.look}` }, how.word), numbers),
      h("div", { class: "buttons" }, act("Edit", () => editTrail(trail, (word) => this.done(word))),
        act(spec.suspend ? "Resume" : "Suspend", () => this.suspend(trail)), act("Delete", () => deleteTrail(trail, (word) => this.done(word)))),
      how.message && how.look !== "good" && h("p", { class: "advice" }, block(how.message)),
      conditions(trail, open));
  }

  async suspend(trail) {
    this.said.textContent = "";
    try {
      await suspendTrail(trail);
      this.done(`${trail.metadata.name} ${trail.spec.suspend ? "records again" : "is suspended"}.`);
    } catch (error) {
      this.said.textContent = error.status === 403 ? `You may not change trails in ${trail.metadata.namespace}: that takes the role edit there.` : block(error.message);
    }
  }

  done(word) {
    announce(word);
    this.read();
  }
}

async function readAll(project, signal) {
  const trails = [];
  let next = "";
  do {
    const query = new URLSearchParams({ limit: page });
    if (next) query.set("continue", next);
    const list = await get(`${trailsPath(project)}?${query}`, { signal });
    trails.push(...list.items);
    next = list.metadata?.continue ?? "";
  } while (next && trails.length < 20 * page);
  return trails;
}

function conditions(trail, open) {
  const list = trail.status?.conditions ?? [];
  if (list.length === 0) return null;
  return h("details", { class: "conditions", open, "data-uid": trail.metadata.uid }, h("summary", {}, "Conditions"),
    h("ul", {}, list.map((each) => {
      const good = (each.status === "True") !== (each.type === "Stalled");
      const look = good ? "good" : each.reason === "Suspended" || each.reason === "ClusterOnly" ? "idle" : each.status === "Unknown" ? "wait" : "bad";
      return h("li", {}, h("span", {}, each.type), h("span", { class: `health ${look}` }, block(each.reason)), h("span", {}, block(each.message)));
    })));
}

const bones = () => {
  const row = h("div", { class: "trail", "aria-hidden": "true" });
  for (const width of ["60%", "70%", "50%"]) {
    const bone = h("div", { class: "bone" });
    Object.assign(bone.style, { width, height: "40px" });
    row.append(bone);
  }
  return row;
};
