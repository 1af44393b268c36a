// Signing in: a token is asked for, tried, and kept for this tab.

import { get, session } from "./api.js";
import { field, h } from "./dom.js";
import { block } from "./text.js";

/** viewer is the name of whom the token belongs to. */
export async function viewer() {
  const review = await get("/v1alpha1/viewer");
  return review.status?.userInfo?.username ?? "";
}

/** signIn is the form; it calls onSignedIn with the viewer's name. */
export function signIn(onSignedIn, problem = "") {
  const token = h("textarea", { autocomplete: "off", autocapitalize: "off", spellcheck: "false", required: true });
  const said = h("p", { class: "problem", role: "alert" }, problem);
  const submit = h("button", { class: "main" }, "Sign in");
  const form = h("form", { onsubmit: (event) => { event.preventDefault(); attempt(); } },
    field("Token", token), said, h("div", { class: "actions" }, submit));

  async function attempt() {
    session.token = token.value.replace(/\s/g, "");
    if (!session.token) return;
    submit.disabled = true;
    said.textContent = "";
    try {
      onSignedIn(await viewer());
    } catch (error) {
      session.token = "";
      said.textContent = error.status === 401
        ? "The cluster does not know this token. It may have expired, or a part of it is missing."
        : block(error.message);
      token.setAttribute("aria-invalid", "true");
      token.focus();
    } finally {
      submit.disabled = false;
    }
  }
  token.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && !event.shiftKey) {
      event.preventDefault();
      form.requestSubmit();
    }
  });

  const view = h("div", { class: "signin" },
    h("h1", {}, "Sign in"),
    h("p", {}, "See what changed in this cluster, who did it, why, and whether it stuck. You see what your own token may read, and nothing else."),
    form,
    h("details", {},
      h("summary", {}, "Where do I get a token?"),
      h("p", { class: "command" }, "kubectl create token NAME -n PROJECT"),
      h("p", {}, "gives one for a service account. A token of your identity provider works too, if the cluster knows it. It stays in this tab and is forgotten when you close it.")));
  queueMicrotask(() => token.focus());
  return view;
}
