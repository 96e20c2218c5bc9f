json() { python3 -c "import json, sys; print(json.load(sys.stdin)$1)"; }
post() { curl -sS -X POST -H 'Content-Type: application/json' "${@:2}" "$API$1"; }
API={gateway}/api/v1

# An organizer creates an event, thirty days from now.
ORGANIZER=$(post /auth/login \
  -d '{"email":"{organizer}","password":"{password}"}' | json "['accessToken']")
DAY=$(python3 -c 'from datetime import *; print(date.today() + timedelta(days=30))')
EVENT=$(post /events -H "Authorization: Bearer $ORGANIZER" -d '{
    "name": "Metallica Live", "price": 25000, "capacity": 1000,
    "startAt": "'$DAY'T20:00:00Z", "endAt": "'$DAY'T23:00:00Z"
  }' | json "['id']")

# A buyer books two tickets.
BUYER=$(post /auth/login \
  -d '{"email":"{buyer}","password":"{password}"}' | json "['accessToken']")
post /events/$EVENT/bookings -d '{"quantity": 2}' -H "Authorization: Bearer $BUYER" \
  -H "Idempotency-Key: $EVENT" | python3 -m json.tool
curl -sS $API/events/$EVENT/availability | python3 -m json.tool

# The e-mail with the tickets arrives a moment later; read it at {mailbox}
sleep 2; curl -sS {mailbox}/api/v1/messages?limit=1 | json "['messages'][0]['Subject']"
