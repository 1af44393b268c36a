// The words and colours of actions and outcomes.

/** actions are what an event's action is called, and its colour. */
export const actions = {
  Create: { word: "Created", past: "created", look: "created" },
  Update: { word: "Changed", past: "changed", look: "changed" },
  Delete: { word: "Deleted", past: "deleted", look: "deleted" },
  Connect: { word: "Connected", past: "connected to", look: "other" },
  Notice: { word: "Notice", past: "told of", look: "other" },
};

const unknownAction = { word: "Unknown", past: "did something to", look: "other" };

/** action is how an action is shown. */
export const action = (name) => actions[name] ?? unknownAction;

/** outcomes are what an event's outcome is called, and what it means. An empty outcome was not judged yet. */
export const outcomes = {
  Persisted: { word: "Stuck", means: "The change was found in the cluster." },
  NotPersisted: { word: "Did not stick", means: "The change was admitted and then refused or lost: the object is as it was before." },
  Unknown: { word: "Unknown", means: "Nobody could tell whether the change stuck." },
  "": { word: "Not known yet", means: "Whether the change stuck is looked up some seconds after it was admitted." },
};

const noOutcome = { word: "", means: "There is nothing that could have stuck." };

/** outcome is how a row's outcome is shown. Connections and notices have none. */
export function outcome(row) {
  if (row.action === "Connect" || row.action === "Notice") return noOutcome;
  return outcomes[row.outcome] ?? outcomes[""];
}

/** look is the colour of a row: that of its action, unless it did not stick. */
export const look = (row) => (row.outcome === "NotPersisted" ? "unstuck" : action(row.action).look);

/** sorts are the colours, in the order in which they are stacked. */
export const sorts = ["created", "changed", "deleted", "other", "unstuck"];

/** sortWords are what they mean. */
export const sortWords = { created: "created", changed: "changed", deleted: "deleted", other: "other", unstuck: "did not stick" };
