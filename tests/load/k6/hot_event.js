// hot-event: one event with large capacity. replica: the same with two booking servers.
import { book, createEvent } from "./common.js";

export const options = {
  scenarios: Object.fromEntries(
    [1, 16, 64, 256, 1024].map((vus, index) => [
      `buyers_${vus}`,
      { executor: "constant-vus", vus, duration: "10s", startTime: `${index * 15}s` },
    ]),
  ),
};

export const setup = () => createEvent(10000000);

export default function (eventId) {
  book(eventId);
}
