// reads: public reads of one event, by anonymous clients.
import http from "k6/http";
import { check } from "k6";
import { BASE, address, createEvent } from "./common.js";

export const options = { vus: 64, duration: "15s" };

export const setup = () => createEvent(1000000);

export default function (eventId) {
  for (const path of [`/${eventId}`, `/${eventId}/availability`, "?limit=20"]) {
    const response = http.get(`${BASE}/api/v1/events${path}`, { headers: address() });
    check(response, {
      "status 200": (r) => r.status === 200,
      "has an ETag": (r) => r.headers.Etag !== undefined,
      "may be cached for one second": (r) => /public, max-age=1\b/.test(r.headers["Cache-Control"]),
    });
  }
}
