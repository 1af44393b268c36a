// The dialogs of trails: one makes or edits a trail and shows it before it is applied, one asks before a trail is deleted.

import { ask, get, trailPath, trailsPath } from "./api.js";
import { field, h } from "./dom.js";
import { block } from "./text.js";
import { blank, changeOf, regions, trailOf, valuesOf, yaml } from "./trailspec.js";

export const operatorNamespace = document.documentElement.dataset.operatorNamespace;

/** openDialog shows a dialog until it is closed. */
function openDialog(title, ...content) {
  const heading = h("h2", { id: "dialog-title" }, title);
  const dialog = h("dialog", { "aria-labelledby": "dialog-title", onclose: () => dialog.remove() }, h("div", { class: "body" }, heading, content));
  document.body.append(dialog);
  dialog.showModal();
  return { dialog, heading };
}

/** editTrail opens the form: for a new trail, or for one that exists. */
export function editTrail(trail, onDone) {
  const form = new TrailForm(trail, onDone);
  form.open();
}

class TrailForm {
  constructor(trail, onDone) {
    Object.assign(this, { trail, onDone });
    this.values = trail ? valuesOf(trail) : { ...blank, namespace: operatorNamespace };
    this.said = h("p", { class: "problem", role: "alert" });
    this.content = h("div", {});
  }

  open() {
    const { dialog, heading } = openDialog("", this.content);
    Object.assign(this, { dialog, heading });
    this.fill();
    this.parts.querySelector("input:not([readonly])").focus();
  }

  fill() {
    this.heading.textContent = this.trail ? `Edit ${this.values.name}` : "New trail";
    this.said.textContent = "";
    this.parts = h("div", {});
    this.drawParts();
    this.content.replaceChildren(h("p", { class: "intro" }, this.trail
      ? "Where a trail pushes to cannot be changed: make a new trail for another destination."
      : "A trail says what is recorded and where the record is pushed."),
    h("form", { onsubmit: (event) => { event.preventDefault(); this.review(); } },
      this.parts, this.said, h("div", { class: "actions" },
        h("button", { type: "button", onclick: () => this.dialog.close() }, "Cancel"), h("button", { class: "main" }, "Review"))));
  }

  drawParts() {
    const { values } = this, parts = [
      h("div", { class: "pair" },
        this.text("name", "Name", { required: true, pattern: "[a-z0-9]([a-z0-9.\\-]*[a-z0-9])?", fixed: true, title: "lower-case letters, digits, - and ." }),
        this.text("namespace", "Project", { required: true, fixed: true, hint: `${operatorNamespace} sees the whole cluster, any other project only itself.` })),
      this.radios("type", "Where the record goes", {
        CloudWatch: ["AWS CloudWatch Logs", "Kept in the cluster for a while and pushed to a log group."],
        ClusterOnly: ["The cluster only", "Kept in the cluster for a while and pushed nowhere."],
      }, true),
    ];
    if (values.type === "CloudWatch") parts.push(...this.destination());
    parts.push(h("div", { class: "pair" },
      this.select("failurePolicy", "When a change cannot be recorded", { Ignore: "let it happen", Fail: "refuse it" }),
      this.text("hours", "Hours that the cluster keeps events", { required: true, type: "number", min: "1", max: "744", step: "1" })));
    this.parts.replaceChildren(...parts);
  }

  destination() {
    const { values } = this, parts = [
      h("div", { class: "pair" },
        this.text("group", "Log group", { required: true, fixed: true, placeholder: "/audit/production" }),
        this.text("region", "Region", { required: true, fixed: true, list: "regions", placeholder: "eu-west-1" })),
      h("datalist", { id: "regions" }, regions.map((value) => h("option", { value }))),
      this.text("stream", "Log stream (optional)", { fixed: true, hint: "Without one: the cluster's id, the project and the trail's name." }),
      this.radios("auth", "How AWS knows who writes", {
        credentials: ["Access keys", "Kept in a Secret of the trail's project."],
        sts: ["A role", "Assumed by the operator, or with a service account's token."],
        ambient: ["The operator's own identity", "For trails that see the whole cluster."],
      }),
    ];
    if (values.auth === "credentials") parts.push(this.text("secret", "Secret", { required: true, hint: "With the keys AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY." }));
    if (values.auth === "sts") {
      parts.push(this.text("role", "Role", { required: true, placeholder: "arn:aws:iam::123456789012:role/audit" }),
        h("div", { class: "pair" }, this.text("account", "Service account (optional)"), this.text("externalID", "External id (optional)")));
    }
    return parts;
  }

  text(name, label, { hint, fixed, ...attributes } = {}) {
    const input = h("input", {
      autocomplete: "off", spellcheck: "false", autocapitalize: "off", name, value: this.values[name], ...attributes,
      readonly: Boolean(this.trail && fixed), oninput: () => { this.values[name] = input.value.trim(); },
    });
    return field(label, input, hint);
  }

  select(name, label, options) {
    const input = h("select", { name, onchange: () => { this.values[name] = input.value; } },
      Object.entries(options).map(([value, word]) => h("option", { value }, word)));
    input.value = this.values[name];
    return field(label, input);
  }

  radios(name, label, options, fixed) {
    return h("fieldset", { class: "field", disabled: Boolean(this.trail && fixed) }, h("legend", {}, label),
      h("div", { class: "choices" }, Object.entries(options).map(([value, [word, hint]]) => h("label", {},
        h("input", {
          type: "radio", name, value, checked: this.values[name] === value,
          onchange: () => {
            this.values[name] = value;
            this.drawParts();
            this.parts.querySelector(`input[name=${name}][value=${value}]`).focus();
          },
        }), h("span", {}, word, h("small", {}, hint))))));
  }

  // review has the API server check the trail without keeping it, and shows it.
  async review() {
    this.said.textContent = "";
    try {
      await this.send("?dryRun=All");
    } catch (error) {
      this.said.textContent = explain(error, this.values);
      return;
    }
    const apply = h("button", { type: "button", class: "main", onclick: () => this.apply(apply) }, this.trail ? "Save" : "Create the trail");
    this.heading.textContent = this.trail ? `Save ${this.values.name}?` : "Create this trail?";
    this.content.replaceChildren(h("p", { class: "intro" }, "The API server accepts it. This is what will be applied, with your rights:"),
      h("pre", { class: "review", tabindex: "0", "aria-label": "The trail as YAML" }, this.shown()), this.said,
      h("div", { class: "actions" }, h("button", { type: "button", onclick: () => this.fill() }, "Back"), apply));
    apply.focus();
  }

  shown() {
    return block(yaml(this.trail ? { spec: changeOf(this.trail, this.values).spec } : trailOf(this.values)));
  }

  send(query = "") {
    const { namespace, name } = this.values;
    return this.trail
      ? get(trailPath(namespace, name) + query, { method: "PATCH", body: changeOf(this.trail, this.values) })
      : get(trailsPath(namespace) + query, { method: "POST", body: trailOf(this.values) });
  }

  async apply(button) {
    button.disabled = true;
    try {
      await this.send();
      this.dialog.close();
      this.onDone(this.trail ? `${this.values.name} was saved.` : `${this.values.name} was created.`);
    } catch (error) {
      button.disabled = false;
      this.said.textContent = explain(error, this.values);
    }
  }
}

function explain(error, { namespace, name }) {
  if (error.status === 403 && !/denied (the )?request|is invalid/.test(error.message)) return `You may not keep trails in ${namespace}: that takes the role edit there.`;
  if (error.status === 404) return `There is no project ${namespace}, or the trail was deleted meanwhile.`;
  if (error.status === 409) return `${name} is there already, or somebody else has just changed it. Close this and look again.`;
  return block(error.message);
}

/** suspendTrail suspends a trail, or resumes it. */
export const suspendTrail = (trail) =>
  ask(trailPath(trail.metadata.namespace, trail.metadata.name), { method: "PATCH", body: { spec: { suspend: !trail.spec.suspend } } });

/** deleteTrail asks, and deletes. */
export function deleteTrail(trail, onDone) {
  const { name, namespace } = trail.metadata;
  const said = h("p", { class: "problem", role: "alert" });
  const fate = trail.spec.type === "ClusterOnly" ? "Its events are pushed nowhere, so they are lost with it."
    : trail.spec.deletionPolicy === "DeleteStream" ? "What was recorded is pushed first. Then its log stream is deleted too, as the trail's deletion policy says."
      : "What was recorded is pushed first. What is in CloudWatch Logs stays.";
  const yes = h("button", {
    type: "button", class: "grave",
    onclick: async () => {
      yes.disabled = true;
      try {
        await ask(trailPath(namespace, name), { method: "DELETE" });
        dialog.close();
        onDone(`${name} is being deleted.`);
      } catch (error) {
        yes.disabled = false;
        said.textContent = explain(error, trail.metadata);
      }
    },
  }, "Delete the trail");
  const no = h("button", { type: "button", onclick: () => dialog.close() }, "Cancel");
  const { dialog } = openDialog(`Delete ${name}?`, h("p", { class: "intro" }, `From then on it records nothing. ${fate}`), said, h("div", { class: "actions" }, no, yes));
  no.focus();
}
