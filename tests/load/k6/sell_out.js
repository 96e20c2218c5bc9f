// sell-out: 10,000 tickets and 100,000 requests; exactly 10,000 bookings, the rest sold out.
import { book, createEvent } from "./common.js";

export const options = {
  scenarios: {
    buyers: { executor: "shared-iterations", vus: 256, iterations: 100000, maxDuration: "5m" },
  },
  thresholds: { bookings_created: ["count==10000"] },
};

export const setup = () => createEvent(10000);

export default function (eventId) {
  book(eventId);
}
