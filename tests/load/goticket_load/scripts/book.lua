-- Each request is a booking of one event of the list by a random buyer.
dofile(os.getenv("LOAD_SCRIPTS") .. "/results.lua")

local tokens = lines_of(setting("TOKENS"))
local events = lines_of(setting("EVENTS"))
local body = setting("BODY", '{"quantity":1}')

function request()
   local path = "/api/v1/events/" .. any(events) .. "/bookings"
   return build_request("book", any(tokens), "POST", path, body)
end

function response(status, headers)
   record(status, headers)
end
