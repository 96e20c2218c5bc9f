// holds-and-reads: holds that are confirmed, cancelled or left to expire, ten reads per write.
import http from "k6/http";
import { BASE, address, anyToken, book, createEvent, post } from "./common.js";

const READS_PER_WRITE = 10;

export const options = { vus: 64, duration: "30s" };

export const setup = () => createEvent(1000000);

export default function (eventId) {
  for (let n = 0; n < READS_PER_WRITE; n += 1) {
    http.get(`${BASE}/api/v1/events/${eventId}${n % 2 ? "/availability" : ""}`, { headers: address() });
  }
  const token = anyToken();
  const hold = book(eventId, { quantity: 1, hold: true }, token);
  if (hold.status !== 201) {
    return;
  }
  const choice = Math.random();
  if (choice < 0.85) {
    const verb = choice < 0.65 ? "confirm" : "cancel";
    post(`/api/v1/bookings/${hold.json("id")}/${verb}`, token, {});
  }
}
