-- Show what is left of an event, and of what: neither ever older than what is shown already.
-- KEYS[1]: the event's hash. ARGV: seconds to live, event version, ticket type ids in order
-- (joined by commas), then for each ticket type: id, stock version, available.
for i = 4, #ARGV, 3 do
    local shown = redis.call('HGET', KEYS[1], ARGV[i])
    local version = shown and tonumber(string.match(shown, '^%d+')) or -1
    if version < tonumber(ARGV[i + 1]) then
        redis.call('HSET', KEYS[1], ARGV[i], ARGV[i + 1] .. ':' .. ARGV[i + 2])
    end
end
if tonumber(redis.call('HGET', KEYS[1], 'order_version') or -1) < tonumber(ARGV[2]) then
    redis.call('HSET', KEYS[1], 'order', ARGV[3], 'order_version', ARGV[2])
end
redis.call('EXPIRE', KEYS[1], ARGV[1])
