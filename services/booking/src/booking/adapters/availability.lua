-- Show what is left of events, per ticket type never older than what is shown already.
-- KEYS: the events' hashes. ARGV: seconds to live, then for each event: its ticket type
-- ids in order (joined by commas) and how many they are, and for each of them: id, stock
-- version, available.
local at = 2
for _, event in ipairs(KEYS) do
    local order, kinds = ARGV[at], tonumber(ARGV[at + 1])
    at = at + 2
    for i = at, at + 3 * kinds - 1, 3 do
        local shown = redis.call('HGET', event, ARGV[i])
        local version = shown and tonumber(string.match(shown, '^%d+')) or -1
        if version < tonumber(ARGV[i + 1]) then
            redis.call('HSET', event, ARGV[i], ARGV[i + 1] .. ':' .. ARGV[i + 2])
        end
    end
    at = at + 3 * kinds
    redis.call('HSET', event, 'order', order)
    redis.call('EXPIRE', event, ARGV[1])
end
