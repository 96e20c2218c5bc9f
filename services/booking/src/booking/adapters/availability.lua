-- Write the availability of events, and their ticket types, unless newer data is there.
-- KEYS: the events' hashes. ARGV: seconds to live, then for each event: its version, its
-- ticket type ids in order (joined by commas) and their number, and for each of them:
-- id, inventory version, available.
local at = 2
for _, event in ipairs(KEYS) do
    local version, order, kinds = tonumber(ARGV[at]), ARGV[at + 1], tonumber(ARGV[at + 2])
    at = at + 3
    for i = at, at + 3 * kinds - 1, 3 do
        local stored = redis.call('HGET', event, ARGV[i])
        local stored_version = stored and tonumber(string.match(stored, '^%d+')) or -1
        if stored_version < tonumber(ARGV[i + 1]) then
            redis.call('HSET', event, ARGV[i], ARGV[i + 1] .. ':' .. ARGV[i + 2])
        end
    end
    at = at + 3 * kinds
    if tonumber(redis.call('HGET', event, 'order_version') or -1) < version then
        redis.call('HSET', event, 'order', order, 'order_version', version)
    end
    redis.call('EXPIRE', event, ARGV[1])
end
