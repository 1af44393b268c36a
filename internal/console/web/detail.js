// One change in full, beside the table.

import { addNote, eventPath, get, noteKey, session } from "./api.js";
import { diff } from "./diff.js";
import { announce, field, h } from "./dom.js";
import { button, refused } from "./notices.js";
import { archived, thin } from "./rows.js";
import { address } from "./state.js";
import { block, line, person } from "./text.js";
import { ago, day, moment, time } from "./time.js";
import { action, outcome } from "./words.js";

const nearby = 20;

export class Detail {
  constructor(rows, onOpen, onClose) {
    Object.assign(this, { rows, onOpen, onClose, shown: "" });
    this.element = h("aside", {
      class: "detail", hidden: true, "aria-labelledby": "detail-title",
      onkeydown: (event) => { if (event.key === "Escape") this.onClose(); },
    });
  }

  /** show opens the event of the state, given as namespace/name; "" closes. */
  show(event) {
    if (event === this.shown) return;
    this.shown = event;
    this.reading?.abort();
    this.element.hidden = !event;
    if (!event) return this.element.replaceChildren();
    const [namespace, name] = event.split("/");
    this.row = this.rows.find(namespace, name);
    this.event = null;
    this.draw();
    this.element.scrollTop = 0;
    this.element.querySelector("h2")?.focus({ preventScroll: true });
    this.read(namespace, name);
  }

  /** refresh takes over what the table has learned of the event, such as its outcome. */
  refresh() {
    if (!this.shown || !this.near) return;
    const [namespace, name] = this.shown.split("/");
    const found = this.rows.find(namespace, name);
    if (found && found.outcome !== this.row?.outcome) {
      this.row = { ...found, ...this.row, outcome: found.outcome };
      this.fate?.replaceWith(this.fate = fate(this.row, this.event) ?? "");
    }
    if (this.row) this.near.replaceWith(this.near = this.neighbours());
  }

  async read(namespace, name) {
    const reading = this.reading = new AbortController();
    try {
      const event = await this.fetch(namespace, name, reading.signal);
      this.event = event;
      this.row = { ...thin(event), outcome: this.row?.outcome || thin(event).outcome };
    } catch (error) {
      if (reading.signal.aborted) return;
      this.error = error;
    }
    if (!reading.signal.aborted) this.draw();
    this.error = null;
  }

  // fetch is the event in the cluster, or else where its row came from.
  async fetch(namespace, name, signal) {
    try {
      return await get(eventPath(namespace, name), { signal });
    } catch (error) {
      const found = error.status === 404 && this.row && await archived(this.row, this.rows.from?.namespace, signal);
      if (!found) throw error;
      return found;
    }
  }

  draw() {
    const focused = this.element.contains(document.activeElement) && document.activeElement.tagName;
    this.element.replaceChildren(this.top(), ...this.body());
    if (focused) (this.element.querySelector(focused) ?? this.element.querySelector("h2")).focus({ preventScroll: true });
  }

  top() {
    const copy = button("Copy link", async () => {
      await navigator.clipboard?.writeText(location.origin + address({}));
      copy.textContent = "Copied";
      announce("The link was copied.");
    }, "quiet");
    return h("div", { class: "top" }, h("div", {}, copy), button("Close", () => this.onClose(), "quiet"));
  }

  body() {
    if (this.error) {
      const gone = this.error.status === 404;
      return [h("h2", { id: "detail-title", tabindex: "-1" }, gone ? "This event is no longer in the cluster" : "The event cannot be shown"),
        gone ? h("p", { class: "moment" }, "The cluster keeps events for a while only. Those of trails with a destination are in their log group.")
          : refused(this.error, "this event", () => this.read(...this.shown.split("/")))];
    }
    const { row } = this;
    if (!row) return [h("h2", { id: "detail-title", tabindex: "-1" }, "Reading the event …"), ...skeleton()];
    return [title(row), h("p", { class: "moment" }, `${moment(row.time)}, ${ago(row.time)}`),
      (this.fate = fate(row, this.event)) ?? "", this.note(), ...(this.event ? this.content(this.event) : skeleton()), this.near = this.neighbours()];
  }

  content(event) {
    const { spec } = event, changes = spec.changes ?? [];
    const level = spec.level === "Metadata" ? "The trail records who did what and when, not what changed." : "No field of the object changed, or none was recorded.";
    return [
      h("section", {}, h("h3", {}, "What changed"), changes.length ? diff(changes) : h("p", { class: "hint" }, level),
        spec.truncated?.length > 0 && h("p", { class: "hint" }, `Too large to be recorded whole; left out: ${line(spec.truncated.join(", "))}.`)),
      spec.object && h("section", {}, h("details", {}, h("summary", {}, "The whole object"),
        h("pre", { class: "whole" }, h("bdi", {}, block(JSON.stringify(spec.object, null, 2)))))),
      h("section", {}, h("h3", {}, "Who, where and how"), facts(spec, event.metadata)),
    ].filter(Boolean);
  }

  note() {
    const spec = this.event?.spec;
    const given = spec?.note ?? this.event?.metadata.annotations?.[noteKey] ?? (this.event ? "" : this.row.note);
    const section = h("section", { class: "note" }, h("h3", {}, "Why"));
    if (given) section.append(h("p", { class: "said" }, h("bdi", {}, block(given))));
    if (!this.event || spec.note || this.row.action === "Notice") {
      if (!given) section.append(h("p", { class: "hint" }, "No note was given."));
      return section;
    }
    section.append(noteForm(this.event, given, this.row.user === session.username, (event) => {
      this.event = event;
      this.draw();
      announce("The note was saved.");
    }));
    return section;
  }

  neighbours() {
    const list = this.rows.near(this.row, nearby).map((row) => h("li", {}, h("button", {
      type: "button", "aria-current": row.name === this.row.name ? "true" : false, onclick: () => this.onOpen(row),
    }, h("span", { class: "when" }, `${day(row.time)} ${time(row.time)}`), h("span", { class: `act ${action(row.action).look}` }, action(row.action).word),
    h("span", { class: "by" }, h("bdi", {}, person(row.user))))));
    return h("section", {}, h("h3", {}, "The same object in this period"),
      list.length ? h("ol", { class: "near" }, list) : h("p", { class: "hint" }, "No change of it is in the period that is shown."));
  }
}

function title(row) {
  const name = h("bdi", {}, line(row.object, 253)), where = row.place && [" in ", h("bdi", {}, line(row.place))];
  return h("h2", { id: "detail-title", tabindex: "-1" }, h("bdi", {}, person(row.user)), ` ${action(row.action).past} ${line(row.part ? `${row.kind}/${row.part}` : row.kind)} `, name, where);
}

function fate(row, event) {
  const { word, means } = outcome(row);
  if (!word) return null;
  const lost = row.outcome === "NotPersisted";
  return h("div", { class: lost ? "fateline lost" : "fateline" }, h("div", {},
    h("p", {}, h("b", { class: lost ? "act unstuck" : "" }, word)), h("p", {}, event?.status?.message ? block(event.status.message) : means)));
}

function facts(spec, metadata) {
  const { actor, resource, request } = spec;
  const list = [
    ["User", actor.username], ["Kind of user", actor.type], ["Groups", actor.groups?.join(", ")], ["Client", request?.fieldManager],
    ["Dependents", request?.propagationPolicy], ["Grace", request?.gracePeriodSeconds !== undefined && `${request.gracePeriodSeconds} s`],
    ["Object", [resource.group || "core", resource.version, resource.resource].join("/")], ["Object's uid", resource.uid],
    ["Cause", spec.cause && [spec.cause.action, spec.cause.kind, spec.cause.name].filter(Boolean).join(" ")],
    ["Redacted", spec.redacted?.join(", ")], ["Trail", `${spec.trailRef.namespace}/${spec.trailRef.name}`], ["Event", `${metadata.namespace}/${metadata.name}`],
  ];
  return h("dl", { class: "facts" }, list.filter(([, value]) => value).flatMap(([name, value]) => [h("dt", {}, name), h("dd", {}, h("bdi", {}, block(value)))]));
}

const shortest = 3, longest = 255;

// noteForm asks whoever made the change for its reason; others find the form behind a button.
function noteForm(event, given, own, onSaved) {
  const text = h("textarea", { maxlength: longest, placeholder: "Such as: rolled back, the new image crashes (INC-204)", value: given });
  const said = h("p", { class: "problem", role: "alert" });
  const save = h("button", { class: "main" }, "Save the note");
  const form = h("form", {
    hidden: Boolean(given) || !own,
    onsubmit: async (submitted) => {
      submitted.preventDefault();
      const note = text.value.trim();
      if (note.length < shortest) {
        said.textContent = `A note has ${shortest} to ${longest} characters.`;
        return text.focus();
      }
      save.disabled = true;
      try {
        onSaved(await addNote(event.metadata.namespace, event.metadata.name, note));
      } catch (error) {
        save.disabled = false;
        said.textContent = error.status === 403 ? "You may read this event but not explain it: that takes the role edit in its project." : block(error.message);
      }
    },
  }, field(own && !given ? "You made this change. What was the reason?" : "Note", text), said, h("div", { class: "actions" }, save));
  const open = button(given ? "Edit the note" : "Add a note", () => {
    open.hidden = true;
    form.hidden = false;
    text.focus();
  }, "quiet");
  open.hidden = !form.hidden;
  return h("div", {}, form, open);
}

const skeleton = () => ["92%", "64%", "78%", "100%", "55%"].map((width) => {
  const bone = h("div", { class: "bone", "aria-hidden": "true" });
  Object.assign(bone.style, { width, height: "14px", marginTop: "16px" });
  return bone;
});
