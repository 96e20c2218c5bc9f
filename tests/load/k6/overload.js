// (e) Five times what can be served: RATE is the sustainable rate, in bookings a second.
import http from "k6/http";
import { check } from "k6";
import { BASE, book, createEvent } from "./common.js";

const RATE = Number(__ENV.RATE || 1000);

export const options = {
  scenarios: {
    flood: {
      executor: "constant-arrival-rate",
      exec: "flood",
      rate: 5 * RATE,
      timeUnit: "1s",
      duration: "20s",
      preAllocatedVUs: 2000,
    },
    probe: { executor: "constant-vus", exec: "probe", vus: 1, duration: "20s" },
  },
  thresholds: { "http_req_duration{probe:livez}": ["p(99)<500"] },
};

export const setup = () => createEvent(10000000);

export function flood(eventId) {
  book(eventId);
}

export function probe() {
  const answer = http.get(`${BASE}/livez`, { tags: { probe: "livez" } });
  check(answer, { alive: (r) => r.status === 200 });
}
