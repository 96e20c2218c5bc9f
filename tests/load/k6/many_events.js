// many-events: a thousand events at once.
import { book, createEvent } from "./common.js";

export const options = { vus: 64, duration: "15s", setupTimeout: "3m" };

export const setup = () => Array.from({ length: 1000 }, () => createEvent(1000000));

export default function (events) {
  book(events[Math.floor(Math.random() * events.length)]);
}
