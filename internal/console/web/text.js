// Shows text that may be hostile: as it is, with what would be invisible or would reorder its neighbours spelled out.

// Control characters, marks of direction, and what has no width. Tabs and line ends are left alone in blocks of text.
const unseen = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u00ad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb]/g;

const spell = (c) => `\\u${c.codePointAt(0).toString(16).padStart(4, "0")}`;

/** block is text in which invisible characters are spelled out, for places that keep line ends. */
export const block = (text) => String(text ?? "").replace(unseen, spell);

/** line is text for one line, no longer than a table needs; the whole is in the change's own view. */
export function line(text, longest = 300) {
  const shown = String(text ?? "").slice(0, longest + 1);
  return block(shown.length > longest ? `${shown.slice(0, longest)}…` : shown).replace(/[\t\n]/g, spell);
}

const serviceAccount = /^system:serviceaccount:([^:]+):([^:]+)$/;

/** person is a user name as people say it: a service account by its namespace and name. */
export function person(username) {
  if (!username) return "somebody";
  const parts = serviceAccount.exec(username);
  return parts ? `${parts[1]}/${parts[2]}` : line(username, 120);
}
