// Shared by the scenarios. Settings come from the environment:
//   k6 run -e BASE_URL=http://127.0.0.1:8080 -e ORGANIZER_TOKEN=… -e BUYER_TOKENS=tokens.txt hot_event.js
// BUYER_TOKENS is a file with one access token per line.
import { check } from "k6";
import { SharedArray } from "k6/data";
import http from "k6/http";
import { Counter } from "k6/metrics";

export const BASE = __ENV.BASE_URL || "http://127.0.0.1:8080";
const tokens = new SharedArray("tokens", () =>
  open(__ENV.BUYER_TOKENS).split("\n").filter((line) => line.length > 0),
);

export const booked = new Counter("bookings_created");
export const soldOut = new Counter("bookings_sold_out");
export const busy = new Counter("bookings_busy");
const counters = { 201: booked, 409: soldOut, 503: busy };

// Rejections are expected; any other status is a failure.
http.setResponseCallback(http.expectedStatuses(200, 201, 409, 503));

// An address for each virtual user: rate limits count addresses. Limits of users have to be raised
// by the gateway's settings, because a token is used more often than a person would.
export function address() {
  return { "X-Forwarded-For": `2001:db8:0:${__VU.toString(16)}::1` };
}

export function anyToken() {
  return tokens[Math.floor(Math.random() * tokens.length)];
}

export function createEvent(capacity) {
  const day = 24 * 3600 * 1000;
  const body = {
    name: "On-sale",
    price: 25000,
    capacity,
    startAt: new Date(Date.now() + 30 * day).toISOString(),
    endAt: new Date(Date.now() + 31 * day).toISOString(),
  };
  const response = http.post(`${BASE}/api/v1/events`, JSON.stringify(body), {
    headers: {
      Authorization: `Bearer ${__ENV.ORGANIZER_TOKEN}`,
      "Content-Type": "application/json",
    },
  });
  if (response.status !== 201) {
    throw new Error(`event not created: ${response.status} ${response.body}`);
  }
  return response.json("id");
}

export function post(path, token, body) {
  return http.post(`${BASE}${path}`, JSON.stringify(body), {
    headers: {
      Authorization: `Bearer ${token}`,
      "Content-Type": "application/json",
      ...address(),
      "Idempotency-Key": crypto.randomUUID(),
    },
  });
}

export function book(eventId, body = { quantity: 1 }, token = anyToken()) {
  const response = post(`/api/v1/events/${eventId}/bookings`, token, body);
  if (counters[response.status]) {
    counters[response.status].add(1);
  }
  check(response, { "booked or rejected": (r) => r.status in counters });
  return response;
}
