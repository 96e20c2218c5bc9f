-- One address, read again and again.
dofile(os.getenv("LOAD_SCRIPTS") .. "/tally.lua")

local tokens = lines_of(setting("TOKENS"))
local path = setting("PATH")

function request()
   return ask("read", any(tokens), "GET", path)
end

function response(status, headers)
   note(status, headers)
end
