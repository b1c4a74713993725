// Changes events on their way to the destinations. Return false to send nothing;
// an exception has the event kept as a dead letter.

/** @param {import("weir").Event} event */
export function transform(event) {
  event.remove("password");
  event.set("plugin", "x");
}
