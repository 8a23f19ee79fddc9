-- Cases that wait, all in one script so that each call is atomic; see contracts/pending.py.
--
-- KEYS[1] is the prefix of all keys. ARGV: what to do, generation, partition, then its own.
-- Keys behind the prefix:
--   token, ready         names of the generation, and the one that is recovered
--   recovered, applied   by partition: generation; by input partition: next offset
--   at, marks            by input partition: committed offset; second that has passed, H of events
--   p:<stream>\n<case>   deadline, partition and offset of a prediction, then its half
--   h:<case>             fields of a case
--     l<place>           a label that came before a prediction: revision, time, text, letter
--     d<stream>\n<rev>   a join: who made it, which label, text replaced, text; ! if committed
--     s<stream>          the newest revision that only said again what was joined
--     z<stream>\n<place> who decided of a waiting label; r is recovery
--     g<place>, x<place> how often it was given up; that it was set aside
--   exp:<p>, wait:<p>    predictions and labels of a partition, by the second of their deadline
local PRE, WHAT, GENERATION, PARTITION = KEYS[1], ARGV[1], ARGV[2], ARGV[3]
-- As contracts/pending.py has them.
local MOST_WAITING, MOST_JOINED = 64, 256
local FORGOTTEN = {'forgotten'}
local call = redis.call
local answers = {}

local function run_id()
  return string.match(call('INFO', 'server'), 'run_id:(%w+)')
end

local function is_present()
  local token = call('GET', PRE .. 'token')
  return token and run_id() .. ':' .. token == GENERATION
end

local function is_ready()
  return is_present() and call('GET', PRE .. 'ready') == GENERATION
end

local function answer(number, verdict, stream, partition, other, replaced)
  answers[#answers + 1] = number
  answers[#answers + 1] = verdict
  answers[#answers + 1] = stream or ''
  answers[#answers + 1] = partition or '-1'
  answers[#answers + 1] = other or ''
  answers[#answers + 1] = replaced or ''
end

local function table_of(key)
  local flat, fields = call('HGETALL', key), {}
  for i = 1, #flat, 2 do fields[flat[i]] = flat[i + 1] end
  return fields
end

local function case_key(case) return PRE .. 'h:' .. case end
local function kept_key(stream, case) return PRE .. 'p:' .. stream .. '\n' .. case end

local function kept_of(stream, case)
  local value = call('GET', kept_key(stream, case))
  if not value then return nil end
  local deadline, partition, offset, at = string.match(value, '^(%d+) (%d+) (%d+)\n()')
  return {deadline = deadline, partition = partition, offset = offset, half = string.sub(value, at)}
end

local function starts(text, prefix) return string.sub(text, 1, #prefix) == prefix end

local function dones_of(fields, stream)
  local found, prefix = {}, 'd' .. stream .. '\n'
  for field, value in pairs(fields) do
    if starts(field, prefix) then
      local by, place, replaced, text = string.match(value, '^(.-)\n(.-)\n(.-)\n(.*)$')
      found[tonumber(string.sub(field, #prefix + 1))] =
        {by = by, place = place, replaced = replaced, text = text}
    end
  end
  return found
end

local function label_of(value)
  local revision, time, text, at = string.match(value, '^(%d+)\n(%d+)\n(.-)\n()')
  return {revision = tonumber(revision), time = time, text = text, letter = string.sub(value, at)}
end

-- The newest revision that only said again what was joined last, told or waiting.
local function said_again(fields, stream, deadline, text)
  local newest = tonumber(fields['s' .. stream] or -1)
  for field, value in pairs(fields) do
    if starts(field, 'l') then
      local label = label_of(value)
      if label.text == text and label.time <= deadline and label.revision > newest then
        newest = label.revision
      end
    end
  end
  return newest
end

-- What a label of this revision and text means after those that were joined.
local function decide(case, fields, stream, deadline, revision, text)
  local found, top, count = dones_of(fields, stream), nil, 0
  for each in pairs(found) do
    if not top or each > top then top = each end
    count = count + 1
  end
  if not top then return 'joined', '' end
  if found[revision] then return 'duplicate' end
  if count >= MOST_JOINED then return 'crowded' end
  if revision > top then
    local again = said_again(fields, stream, deadline, found[top].text)
    if found[top].text == text then
      call('HSET', case_key(case), 's' .. stream, math.max(again, revision))
      return 'same'
    end
    if revision < again then return 'superseded' end
    if revision == again then return 'duplicate' end
    return 'joined', found[top].text
  end
  -- A later one replaced this text, but who joined that was forgotten before it was committed.
  for each, done in pairs(found) do
    if each > revision and done.replaced == text then
      local is_known, below = false, nil
      for other, earlier in pairs(found) do
        if other < each and earlier.text == text then is_known = true end
        if other < revision and (not below or other > below) then below = other end
      end
      if not is_known then return 'joined', below and found[below].text or '' end
    end
  end
  return 'superseded'
end

local function join(case, stream, revision, by, place, replaced, text)
  local value = by .. '\n' .. place .. '\n' .. replaced .. '\n' .. text
  call('HSET', case_key(case), 'd' .. stream .. '\n' .. revision, value)
end

local function is_crowded(fields, me)
  local count = 0
  for field in pairs(fields) do
    if starts(field, 'l') then count = count + 1 end
  end
  return count >= MOST_WAITING and not fields['l' .. me]
end

local function made_by(found, me)
  for _, done in pairs(found) do
    if done.by == me then return done end
  end
end

local function wait_for_it(case, place, expiry, value)
  call('HSETNX', case_key(case), 'l' .. place, value)
  call('ZADD', PRE .. 'wait:' .. PARTITION, expiry, place .. '\n' .. case)
end

local function keep_one(number, case, stream, offset, deadline, expiry, half)
  local me = 'P' .. PARTITION .. ':' .. offset
  local kept = kept_of(stream, case)
  if kept and (kept.partition ~= PARTITION or kept.offset ~= offset) then
    return answer(number, 'repeated', stream)
  end
  if not kept then
    local value = deadline .. ' ' .. PARTITION .. ' ' .. offset .. '\n' .. half
    call('SET', kept_key(stream, case), value)
    call('ZADD', PRE .. 'exp:' .. PARTITION, expiry, stream .. '\n' .. case)
  end
  local fields = table_of(case_key(case))
  if next(fields) == nil then return end
  local found, labels = dones_of(fields, stream), {}
  for field, value in pairs(fields) do
    if starts(field, 'l') then
      local label = label_of(value)
      label.place = string.sub(field, 2)
      labels[#labels + 1] = label
    end
  end
  table.sort(labels, function(one, other)
    if one.revision ~= other.revision then return one.revision > other.revision end
    if one.time ~= other.time then return one.time < other.time end
    return one.place < other.place
  end)
  local on_time = {}
  for _, label in ipairs(labels) do
    local mark = 'z' .. stream .. '\n' .. label.place
    local by = fields[mark]
    if not fields['g' .. label.place] and (not by or by == me) then
      if not by then call('HSET', case_key(case), mark, me) end
      if label.time > deadline then
        answer(number, 'late', stream, PARTITION, label.letter)
      else
        on_time[#on_time + 1] = label
      end
    end
  end
  local mine = made_by(found, me)
  if mine then
    local letter = label_of(fields['l' .. mine.place]).letter
    answer(number, 'joined', stream, PARTITION, letter, mine.replaced)
    return
  end
  -- The newest, unless it is known already: then perhaps one that it replaced is not.
  for _, label in ipairs(on_time) do
    local verdict, replaced = decide(case, fields, stream, deadline, label.revision, label.text)
    if verdict == 'joined' then
      join(case, stream, label.revision, me, label.place, replaced, label.text)
      return answer(number, verdict, stream, PARTITION, label.letter, replaced)
    end
  end
end

local function hold_one(number, streams, case, revision, offset, time, expiry, text, letter)
  local me = 'L' .. PARTITION .. ':' .. offset
  local fields = table_of(case_key(case))
  if fields['x' .. me] then return answer(number, 'duplicate') end
  local handled = {}
  for _, stream in ipairs(streams) do
    local kept = kept_of(stream, case)
    if kept then
      handled[#handled + 1] = stream
      local found, by = dones_of(fields, stream), fields['z' .. stream .. '\n' .. me]
      local mine = made_by(found, me)
      if mine then
        answer(number, 'joined', stream, kept.partition, kept.half, mine.replaced)
      elseif by and by ~= me and by ~= 'r' then
        answer(number, 'waiting', stream)
      elseif time > kept.deadline then
        answer(number, 'late', stream)
      else
        local verdict, replaced =
          decide(case, fields, stream, kept.deadline, tonumber(revision), text)
        if verdict == 'joined' then
          join(case, stream, revision, me, me, replaced, text)
          answer(number, verdict, stream, kept.partition, kept.half, replaced)
        else
          answer(number, verdict, stream)
        end
      end
    end
  end
  if #handled == 0 and is_crowded(fields, me) then return answer(number, 'crowded') end
  if #handled < #streams and not is_crowded(fields, me) then
    local value = revision .. '\n' .. time .. '\n' .. text .. '\n' .. letter
    wait_for_it(case, me, expiry, value)
    for _, stream in ipairs(handled) do
      call('HSET', case_key(case), 'z' .. stream .. '\n' .. me, me)
    end
  end
  if #handled == 0 then answer(number, 'waiting') end
end

local function streams_at(first)
  local streams, count = {}, tonumber(ARGV[first])
  for i = 1, count do streams[i] = ARGV[first + i] end
  return streams, first + count + 1
end

-- Whether nothing that these made can be taken back.
local function committed_in(at)
  return function(by)
    if by == 'r' or starts(by, '!') then return true end
    local input, offset = string.match(by, '^(%w+):(%d+)$')
    return at[input] ~= nil and tonumber(at[input]) > tonumber(offset)
  end
end

local function publish(marks, name, value)
  if marks[name] == nil or tonumber(marks[name]) < value then
    marks[name] = tostring(value)
    call('HSET', PRE .. 'marks', name, string.format('%.0f', value))
  end
end

local function passed_all(marks, kind, partitions)
  local least = nil
  for number = 0, partitions - 1 do
    local mark = tonumber(marks[kind .. number])
    if not mark then return nil end
    if not least or mark < least then least = mark end
  end
  return least
end

local function expired(key, bound, limit)
  if not bound then return {} end
  local before = '(' .. string.format('%.0f', bound)
  return call('ZRANGEBYSCORE', key, '-inf', before, 'LIMIT', 0, limit)
end

local function free(member, is_committed)
  local stream, case = string.match(member, '^(.-)\n(.*)$')
  local mine = {'s' .. stream}
  for field, value in pairs(table_of(case_key(case))) do
    if starts(field, 'd' .. stream .. '\n') then
      if not is_committed(string.match(value, '^(.-)\n')) then return 0 end
      mine[#mine + 1] = field
    end
  end
  call('DEL', kept_key(stream, case))
  call('HDEL', case_key(case), unpack(mine))
  call('ZREM', PRE .. 'exp:' .. PARTITION, member)
  return 1
end

local function forget(place, case, fields)
  local mine = {'l' .. place, 'g' .. place, 'x' .. place}
  for field in pairs(fields) do
    if starts(field, 'z') and string.match(field, '\n(.*)$') == place then
      mine[#mine + 1] = field
    end
  end
  call('HDEL', case_key(case), unpack(mine))
  call('ZREM', PRE .. 'wait:' .. PARTITION, place .. '\n' .. case)
end

local function give_up(member, is_committed, streams, given, letters)
  local place, case = string.match(member, '^(.-)\n(.*)$')
  local fields = table_of(case_key(case))
  local value = fields['l' .. place]
  if not value then
    if not is_committed(place) then return 0 end
    forget(place, case, fields)
    return 1
  end
  local is_known = false
  for field, by in pairs(fields) do
    if starts(field, 'z') and string.match(field, '\n(.*)$') == place then
      if not is_committed(by) then return 0 end
      is_known = true
    end
  end
  local number = tonumber(fields['g' .. place])
  if number then
    is_known = number <= given
  elseif not is_committed(place) then
    return 0
  else
    for _, stream in ipairs(streams) do
      is_known = is_known or call('EXISTS', kept_key(stream, case)) == 1
    end
  end
  if is_known then forget(place, case, fields) return 1 end
  call('HSET', case_key(case), 'g' .. place, given + 1)
  letters[#letters + 1] = label_of(value).letter
  return 0
end

local actions = {}

function actions.generation()
  call('SET', PRE .. 'token', ARGV[4], 'NX')
  return run_id() .. ':' .. call('GET', PRE .. 'token')
end

function actions.standing()
  if not is_present() then return FORGOTTEN end
  local is_recovered = call('HGET', PRE .. 'recovered', PARTITION) == GENERATION
  local applied = table_of(PRE .. 'applied')
  return {
    is_recovered and 1 or 0, applied['P' .. PARTITION] or '', applied['L' .. PARTITION] or '',
  }
end

function actions.unrecovered()
  if not is_present() then return FORGOTTEN end
  local recovered, missing = table_of(PRE .. 'recovered'), {}
  for number = 0, tonumber(ARGV[4]) - 1 do
    if recovered[tostring(number)] ~= GENERATION then missing[#missing + 1] = number end
  end
  return missing
end

function actions.keep()
  if not is_ready() then return FORGOTTEN end
  for i = 5, #ARGV, 6 do
    keep_one((i - 5) / 6, ARGV[i], ARGV[i + 1], ARGV[i + 2], ARGV[i + 3], ARGV[i + 4], ARGV[i + 5])
  end
  call('HSET', PRE .. 'applied', 'P' .. PARTITION, ARGV[4])
  return answers
end

function actions.hold()
  if not is_ready() then return FORGOTTEN end
  local streams, first = streams_at(5)
  for i = first, #ARGV, 7 do
    hold_one((i - first) / 7, streams, unpack(ARGV, i, i + 6))
  end
  call('HSET', PRE .. 'applied', 'L' .. PARTITION, ARGV[4])
  return answers
end

function actions.confirm()
  if not is_ready() then return FORGOTTEN end
  return {}
end

-- ARGV: partitions, most predictions to free, committed P and L, seconds of P and L, ended P and L,
-- ttl, given up, most labels to look at, streams.
function actions.tidy()
  if not is_ready() then return FORGOTTEN end
  local partitions, limit = tonumber(ARGV[4]), tonumber(ARGV[5])
  local streams = streams_at(15)
  call('HSET', PRE .. 'at', 'P' .. PARTITION, ARGV[6], 'L' .. PARTITION, ARGV[7])
  local marks = table_of(PRE .. 'marks')
  if ARGV[8] ~= '' then
    publish(marks, 'P' .. PARTITION, tonumber(ARGV[8]))
    publish(marks, 'H', tonumber(ARGV[8]))
  end
  if ARGV[9] ~= '' then publish(marks, 'L' .. PARTITION, tonumber(ARGV[9])) end
  if marks.H then
    local before = tonumber(marks.H) - tonumber(ARGV[12])
    if ARGV[10] == '1' then publish(marks, 'P' .. PARTITION, before) end
    if ARGV[11] == '1' then publish(marks, 'L' .. PARTITION, before) end
  end
  local is_committed = committed_in(table_of(PRE .. 'at'))
  local events = tonumber(marks['P' .. PARTITION])
  local labels = passed_all(marks, 'L', partitions)
  local bound = events and labels and math.min(events, labels)
  local freed, letters = 0, {}
  for _, member in ipairs(expired(PRE .. 'exp:' .. PARTITION, bound, limit)) do
    freed = freed + free(member, is_committed)
  end
  bound = passed_all(marks, 'P', partitions)
  for _, member in ipairs(expired(PRE .. 'wait:' .. PARTITION, bound, ARGV[14])) do
    freed = freed + give_up(member, is_committed, streams, tonumber(ARGV[13]), letters)
  end
  local left, oldest = {}, ''
  for _, name in ipairs({'exp:', 'wait:'}) do
    local first = call('ZRANGE', PRE .. name .. PARTITION, 0, 0, 'WITHSCORES')[2]
    if first and (oldest == '' or tonumber(first) < tonumber(oldest)) then oldest = first end
    left[#left + 1] = call('ZCARD', PRE .. name .. PARTITION)
  end
  return {freed, oldest, left[1], left[2], unpack(letters)}
end

function actions.restore_done()
  if not is_present() then return FORGOTTEN end
  for i = 4, #ARGV, 7 do
    local case, stream = ARGV[i], ARGV[i + 1]
    join(case, stream, ARGV[i + 2], '!' .. ARGV[i + 3], '', ARGV[i + 5], ARGV[i + 6])
    call('ZADD', PRE .. 'exp:' .. PARTITION, ARGV[i + 4], stream .. '\n' .. case)
  end
  return {}
end

function actions.restore_buried()
  if not is_present() then return FORGOTTEN end
  for i = 5, #ARGV, 3 do
    local case, place = ARGV[i], 'L' .. PARTITION .. ':' .. ARGV[i + 1]
    forget(place, case, table_of(case_key(case)))
    if tonumber(ARGV[i + 1]) >= tonumber(ARGV[4]) then
      call('HSET', case_key(case), 'x' .. place, 1)
      call('ZADD', PRE .. 'wait:' .. PARTITION, ARGV[i + 2], place .. '\n' .. case)
    end
  end
  return {}
end

function actions.restore_kept()
  if not is_present() then return FORGOTTEN end
  for i = 4, #ARGV, 6 do
    local case, stream, offset = ARGV[i], ARGV[i + 1], ARGV[i + 2]
    local value = ARGV[i + 3] .. ' ' .. PARTITION .. ' ' .. offset .. '\n' .. ARGV[i + 5]
    if call('SETNX', kept_key(stream, case), value) == 1 then
      call('ZADD', PRE .. 'exp:' .. PARTITION, ARGV[i + 4], stream .. '\n' .. case)
      for field in pairs(table_of(case_key(case))) do
        if starts(field, 'l') then
          call('HSETNX', case_key(case), 'z' .. stream .. '\n' .. string.sub(field, 2), 'r')
        end
      end
    end
  end
  return {}
end

function actions.restore_held()
  if not is_present() then return FORGOTTEN end
  local streams, first = streams_at(4)
  for i = first, #ARGV, 7 do
    local case, place = ARGV[i], 'L' .. PARTITION .. ':' .. ARGV[i + 2]
    local handled = {}
    for _, stream in ipairs(streams) do
      if call('EXISTS', kept_key(stream, case)) == 1 then handled[#handled + 1] = stream end
    end
    -- A revision may have said again what was joined, of which nothing else tells.
    if #handled < #streams or tonumber(ARGV[i + 1]) > 0 then
      local value = ARGV[i + 1] .. '\n' .. ARGV[i + 3] .. '\n' .. ARGV[i + 5] .. '\n' .. ARGV[i + 6]
      wait_for_it(case, place, ARGV[i + 4], value)
      for _, stream in ipairs(handled) do
        call('HSETNX', case_key(case), 'z' .. stream .. '\n' .. place, 'r')
      end
    end
  end
  return {}
end

-- ARGV: next offset of P and L, partitions.
function actions.finish()
  if not is_present() then return FORGOTTEN end
  call('HSET', PRE .. 'applied', 'P' .. PARTITION, ARGV[4], 'L' .. PARTITION, ARGV[5])
  call('HSET', PRE .. 'recovered', PARTITION, GENERATION)
  local recovered = table_of(PRE .. 'recovered')
  for number = 0, tonumber(ARGV[6]) - 1 do
    if recovered[tostring(number)] ~= GENERATION then return {} end
  end
  call('SET', PRE .. 'ready', GENERATION)
  return {}
end

return actions[WHAT]()
