// Starts the page: who is looking, and at what.

import { session } from "./api.js";
import { Changes } from "./changes.js";
import { byId } from "./dom.js";
import { refused } from "./notices.js";
import { signIn, viewer } from "./signin.js";
import * as state from "./state.js";
import { line, person } from "./text.js";
import { Trails } from "./trails.js";

const main = byId("main");
let shown = null;

function showSignIn(problem) {
  shown?.leave();
  shown = null;
  for (const id of ["pages", "viewer"]) byId(id).hidden = true;
  document.title = "Sign in – Trailkeeper";
  main.replaceChildren(signIn(showPages, problem));
}

function showPages(username) {
  for (const id of ["pages", "viewer"]) byId(id).hidden = false;
  byId("viewer-name").textContent = person(username);
  byId("viewer-name").title = line(username);
  session.username = username;
  show(state.read());
}

function show(now) {
  if (!session.username) return;
  const page = now.page === "trails" ? "trails" : "changes";
  for (const link of document.querySelectorAll("[data-page]")) {
    if (link.dataset.page === page) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  if (shown?.name !== page) {
    shown?.leave();
    shown = page === "trails" ? new Trails(main) : new Changes(main);
    document.title = `${page === "trails" ? "Trails" : "Changes"} – Trailkeeper`;
  }
  shown.show(now);
}

function signOut(problem = "") {
  session.token = "";
  session.username = "";
  showSignIn(problem);
}

byId("sign-out").addEventListener("click", () => signOut());
session.ended = () => {
  if (session.username) signOut("Your token has expired. Sign in with a new one; you come back to where you were.");
};

// Links within the page do not load it again.
document.addEventListener("click", (event) => {
  const link = event.target.closest("a[href^='/']");
  if (!link || !session.username || event.ctrlKey || event.metaKey || event.shiftKey || event.button !== 0) return;
  event.preventDefault();
  history.pushState(null, "", link.getAttribute("href"));
  dispatchEvent(new PopStateEvent("popstate"));
  main.focus({ preventScroll: true });
});
state.onChange(show);

// takeToken takes the token that kubectl trail console puts behind the address, where no server sees it, and hides it again.
function takeToken() {
  const given = new URLSearchParams(location.hash.slice(1)).get("token");
  if (!given) return;
  session.token = given;
  history.replaceState(null, "", location.pathname + location.search);
}

async function start() {
  takeToken();
  if (!session.token) return showSignIn();
  try {
    showPages(await viewer());
  } catch (error) {
    if (error.status === 401) signOut("Your token has expired. Sign in with a new one; you come back to where you were.");
    else main.replaceChildren(refused(error, "who you are", start));
  }
}
start();
