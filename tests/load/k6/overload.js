// overload: five times RATE, the sustainable rate in bookings/s.
import http from "k6/http";
import { check } from "k6";
import { BASE, book, createEvent } from "./common.js";

const RATE = Number(__ENV.RATE || 1000);

export const options = {
  scenarios: {
    overload: {
      executor: "constant-arrival-rate",
      exec: "overload",
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

export function overload(eventId) {
  book(eventId);
}

export function probe() {
  const response = http.get(`${BASE}/livez`, { tags: { probe: "livez" } });
  check(response, { alive: (r) => r.status === 200 });
}
