// A trail as the form's values, as an object, and as YAML. Pure: nothing is drawn or called here.

export const apiVersion = "audit.trailkeeper.dev/v1alpha1";

/** regions are offered; any other can be typed. */
export const regions = [
  "af-south-1", "ap-east-1", "ap-northeast-1", "ap-northeast-2", "ap-south-1", "ap-southeast-1", "ap-southeast-2", "ca-central-1",
  "eu-central-1", "eu-north-1", "eu-south-1", "eu-west-1", "eu-west-2", "eu-west-3", "il-central-1", "me-central-1", "sa-east-1",
  "us-east-1", "us-east-2", "us-gov-east-1", "us-gov-west-1", "us-west-1", "us-west-2",
];

/** blank are the values of a new trail's form. */
export const blank = {
  name: "", namespace: "", type: "CloudWatch", region: "", group: "", stream: "", auth: "credentials", secret: "aws-credentials",
  role: "", externalID: "", account: "", failurePolicy: "Ignore", hours: "24",
};

/** valuesOf are the form's values of a trail that exists. */
export function valuesOf(trail) {
  const { spec, metadata } = trail, watch = spec.cloudWatch ?? {}, auth = watch.auth ?? {};
  return {
    ...blank, name: metadata.name, namespace: metadata.namespace, type: spec.type, region: watch.region ?? "", group: watch.logGroupName ?? "",
    stream: watch.logStreamName ?? "", auth: auth.sts ? "sts" : auth.ambient ? "ambient" : "credentials",
    secret: auth.credentials?.secretRef?.name ?? "", role: auth.sts?.roleARN ?? "", externalID: auth.sts?.externalID ?? "",
    account: auth.sts?.serviceAccountName ?? "", failurePolicy: spec.recording?.failurePolicy ?? "Ignore",
    hours: String((spec.retention?.ttlSeconds ?? 86400) / 3600),
  };
}

function authOf(values) {
  if (values.auth === "ambient") return { ambient: {} };
  if (values.auth === "credentials") return { credentials: { secretRef: { name: values.secret } } };
  return { sts: clean({ roleARN: values.role, externalID: values.externalID, serviceAccountName: values.account }) };
}

const clean = (object) => Object.fromEntries(Object.entries(object).filter(([, value]) => value !== "" && value !== undefined));

/** trailOf is the trail that the values ask for. */
export function trailOf(values) {
  const spec = { type: values.type };
  if (values.type === "CloudWatch") {
    spec.cloudWatch = clean({ region: values.region, logGroupName: values.group, logStreamName: values.stream, auth: authOf(values) });
  }
  spec.recording = { failurePolicy: values.failurePolicy };
  spec.retention = { ttlSeconds: Math.round(Number(values.hours) * 3600) };
  return { apiVersion, kind: "AuditTrail", metadata: { name: values.name, namespace: values.namespace }, spec };
}

/** changeOf is the merge patch that makes a trail what the values ask for; fields that the form does not know stay. */
export function changeOf(trail, values) {
  const spec = trailOf(values).spec;
  const change = { recording: spec.recording, retention: spec.retention };
  if (spec.cloudWatch) change.cloudWatch = { auth: authChange(trail.spec.cloudWatch.auth, spec.cloudWatch.auth) };
  return { metadata: { resourceVersion: trail.metadata.resourceVersion }, spec: change };
}

// authChange takes away what was there before and is not wanted any more: a merge patch would keep it.
function authChange(before, after) {
  const change = {};
  for (const way of ["credentials", "sts", "ambient"]) {
    if (before[way] && !after[way]) change[way] = null;
    else if (after[way]) change[way] = after[way];
  }
  for (const name of ["externalID", "serviceAccountName"]) {
    if (before.sts?.[name] && after.sts && !after.sts[name]) change.sts = { ...change.sts, [name]: null };
  }
  return change;
}

/** yaml writes an object of text, numbers and objects. Text is quoted where YAML would read something else. */
export function yaml(value, indent = "") {
  return Object.entries(value).map(([key, each]) => {
    if (each === null || typeof each !== "object") return `${indent}${key}: ${scalar(each)}\n`;
    if (Object.keys(each).length === 0) return `${indent}${key}: {}\n`;
    return `${indent}${key}:\n${yaml(each, `${indent}  `)}`;
  }).join("");
}

const plain = /^[A-Za-z/][A-Za-z0-9_./-]*$/;
const special = /^(true|false|yes|no|on|off|null|y|n)$/i;

const scalar = (value) => (typeof value !== "string" || (plain.test(value) && !special.test(value)) ? String(value) : JSON.stringify(value));

/** health is how a trail is, in a word. */
export function health(trail) {
  if (trail.metadata.deletionTimestamp) return { look: "wait", word: "Being deleted" };
  if (trail.spec.suspend) return { look: "idle", word: "Suspended" };
  const ready = condition(trail, "Ready");
  if (!ready || ready.status === "Unknown" || ready.reason === "Progressing" || ready.reason === "WebhookPending") return { look: "wait", word: "Starting", message: ready?.message };
  if (ready.status === "True") {
    const warned = condition(trail, "Complete")?.status === "False";
    return warned ? { look: "wait", word: "Incomplete", message: condition(trail, "Complete").message } : { look: "good", word: "Healthy" };
  }
  return { look: "bad", word: "Needs attention", message: ready.message };
}

export const condition = (trail, type) => trail.status?.conditions?.find((each) => each.type === type);
