-- Cases that wait, all in one script so that each call is atomic; see contracts/pending.py.
--
-- KEYS[1] is the prefix of all keys. ARGV: what to do, generation, partition, the longest ttl in
-- seconds, then its own.
-- Keys behind the prefix:
--   token, ready         names of the generation, and the one that is recovered
--   recovered, applied   by partition: generation; by input partition: next offset
--   at                   by input partition: committed offset
--   owner                by partition: how often it was leased
--   turn, through        how often was tidied; by partition: up to which of these labels are read
--   made                 by partition: newest second at which a prediction was made
--   past                 likewise of an event that lies no later than its prediction was made
--   caught               by partition: how far `made` was when all events were found predicted
--   p:<stream>\n<case>   event time, partition, offset and second of a prediction, then its half
--   h:<case>             fields of a case
--     l<place>           a label that came before a prediction: revision, time, `made` when it came,
--                        names of streams and texts between tabs, letter
--     d<stream>\n<rev>   a join: who made it, which label, text replaced, text; ! if committed
--     s<stream>          the newest revision that only said again what was joined
--     z<stream>\n<place> who decided of a waiting label; r is recovery
--     g<place>, x<place> how often it was given up; that it was set aside, or only that it is late
--   exp:<p>, wait:<p>    predictions and labels of a partition, by offset; what was decided of by
--                        outputs that were read again, by where those are read from
--   mark:<p>             labels that do not wait, of which nothing else tells
--   gone:<p>             labels that were given up, until that is committed
--   c:<p>\n<asset>       predictions of an asset, by the second of their event
--   w:<p>\n<asset>       waiting labels of an asset, by their second
--   a:<asset>            fields of an asset
--     H<p>, L<p>         newest second of its events, and of its labels, by their partition
--     B<p>               events up to a second are over, as soon as all labels are read up to a turn
--     W<p>               that labels of it wait
--   look:<p>             assets of which something may be over
local PRE, WHAT, PARTITION = KEYS[1], ARGV[1], ARGV[3]
-- A lease is a generation and the number of an owner.
local GENERATION, OWNER = string.match(ARGV[2], '^([^@]*)@?(.*)$')
local LONGEST = tonumber(ARGV[4])
-- As contracts/pending.py has them.
local MOST_WAITING, MOST_JOINED = 64, 256
local LATEST = string.rep('9', 18)
-- Assets looked at in one call.
local MOST_ASSETS = 1000
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

local function is_owned()
  return is_ready() and (call('HGET', PRE .. 'owner', PARTITION) or '') == OWNER
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
local function asset_key(asset) return PRE .. 'a:' .. asset end
local function cases_key(asset) return PRE .. 'c:' .. PARTITION .. '\n' .. asset end
local function labels_key(asset) return PRE .. 'w:' .. PARTITION .. '\n' .. asset end

local function asset_of(case)
  local length, at = string.match(case, '^%a(%d+):()')
  return string.sub(case, at, at + length - 1)
end

-- A time is 18 digits of microseconds: more than a number holds.
local function second_of(time) return tonumber(string.sub(time, 1, 12)) end

local function plus(time, ttl)
  local low = tonumber(string.sub(time, 10)) + tonumber(string.sub(ttl, 10))
  local high = tonumber(string.sub(time, 1, 9)) + tonumber(string.sub(ttl, 1, 9))
  if low >= 1e9 then low, high = low - 1e9, high + 1 end
  if high >= 1e9 then return LATEST end
  return string.format('%09.0f%09.0f', high, low)
end

local function kept_of(stream, case)
  local value = call('GET', kept_key(stream, case))
  if not value then return nil end
  local time, partition, offset, made, at = string.match(value, '^(%d+) (%d+) (%d+) (%d+)\n()')
  return {
    time = time, partition = partition, offset = offset, made = tonumber(made),
    half = string.sub(value, at),
  }
end

local function starts(text, prefix) return string.sub(text, 1, #prefix) == prefix end

-- By the letter that fields of an asset begin with: what follows it, and the value.
local function each_of(seen, letter)
  local found = {}
  for field, value in pairs(seen) do
    if starts(field, letter) then found[string.sub(field, 2)] = value end
  end
  return found
end

local function newest_label(seen)
  local newest
  for _, at in pairs(each_of(seen, 'L')) do newest = math.max(newest or 0, tonumber(at)) end
  return newest
end

-- What one call learns of clocks, told when it ends: of assets, and when predictions were made.
local clocks, moved, noted, made_anywhere = {}, {}, {}, nil

local function newest_made()
  if made_anywhere then return made_anywhere end
  made_anywhere = 0
  for _, made in ipairs(call('HVALS', PRE .. 'made')) do
    made_anywhere = math.max(made_anywhere, tonumber(made))
  end
  return made_anywhere
end

local function clock_of(asset)
  local seen = clocks[asset] or table_of(asset_key(asset))
  if next(seen) ~= nil then clocks[asset] = seen end
  return seen
end

-- An asset's events have come to a second; or it began anew, more than a ttl before the newest.
local function came(asset, at)
  local key, field, seen = asset_key(asset), 'H' .. PARTITION, clock_of(asset)
  local newest = tonumber(seen[field])
  if newest and at <= newest and at + LONGEST >= newest then return end
  seen[field] = at
  clocks[asset], moved[asset] = seen, field
  if not newest or at > newest then return end
  seen['B' .. PARTITION] = nil
  call('HDEL', key, 'B' .. PARTITION)
  for partition, label in pairs(each_of(seen, 'L')) do
    if tonumber(label) > at then
      seen['L' .. partition] = at
      call('HSET', key, 'L' .. partition, at)
    end
  end
end

-- Likewise its labels; of an asset that is not known yet nothing is noted.
local function was_labelled(asset, at)
  local key, field, seen = asset_key(asset), 'L' .. PARTITION, clock_of(asset)
  local newest = tonumber(seen[field])
  if next(seen) == nil then return end
  if newest and at <= newest and at + LONGEST >= newest then return end
  seen[field] = at
  moved[asset] = field
  if not newest or at > newest then return end
  for partition in pairs(each_of(seen, 'B')) do
    seen['B' .. partition] = nil
    call('HDEL', key, 'B' .. partition)
  end
end

local function rise(key, field, value)
  local known = tonumber(call('HGET', PRE .. key, field) or -1)
  if tonumber(value) > known then call('HSET', PRE .. key, field, value) end
end

local function store(case, stream, offset, time, made, half)
  local value = time .. ' ' .. PARTITION .. ' ' .. offset .. ' ' .. made .. '\n' .. half
  local member, asset = stream .. '\n' .. case, asset_of(case)
  call('SET', kept_key(stream, case), value)
  call('ZADD', PRE .. 'exp:' .. PARTITION, 'NX', offset, member)
  call('ZADD', cases_key(asset), second_of(time), member)
  local at = math.min(second_of(time), tonumber(made))
  noted.made = math.max(noted.made or 0, tonumber(made))
  noted.past = math.max(noted.past or 0, at)
  came(asset, second_of(time))
end

-- Tell what this call learned of clocks, and whom it may let go of something.
local function tell_clocks()
  for key, at in pairs(noted) do rise(key, PARTITION, string.format('%.0f', at)) end
  for asset, field in pairs(moved) do
    local seen = clocks[asset]
    call('HSET', asset_key(asset), field, seen[field])
    local is_event = starts(field, 'H')
    if is_event then call('SADD', PRE .. 'look:' .. PARTITION, asset) end
    for partition in pairs(each_of(seen, is_event and 'W' or 'H')) do
      call('SADD', PRE .. 'look:' .. partition, asset)
    end
  end
end

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

-- A label's value as a stream reads it; nil where it cannot.
local function text_of(texts, stream)
  for name, text in string.gmatch(texts, '([^\t]*)\t([^\t]*)\t?') do
    if name == stream then return text end
  end
end

local function label_of(value)
  local revision, time, made, texts, at = string.match(value, '^(%d+)\n(%d+)\n(%d+)\n(.-)\n()')
  return {
    revision = tonumber(revision), time = time, made = tonumber(made), texts = texts,
    letter = string.sub(value, at),
  }
end

-- The newest revision that only said again what was joined last, told or waiting.
local function said_again(fields, stream, deadline, text)
  local newest = tonumber(fields['s' .. stream] or -1)
  for field, value in pairs(fields) do
    if starts(field, 'l') then
      local label = label_of(value)
      local is_same = label.time <= deadline and text_of(label.texts, stream) == text
      if is_same then newest = math.max(newest, label.revision) end
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

local function list(line, case, offset, time, score)
  local asset, member = asset_of(case), 'L' .. PARTITION .. ':' .. offset .. '\n' .. case
  call('ZADD', PRE .. line .. PARTITION, 'NX', score or offset, member)
  call('ZADD', labels_key(asset), second_of(time), member)
  if clock_of(asset)['W' .. PARTITION] == 'new' then return end
  call('HSET', asset_key(asset), 'W' .. PARTITION, 1)
  call('SADD', PRE .. 'look:' .. PARTITION, asset)
  clock_of(asset)['W' .. PARTITION] = 'new'
end

local function wait_for_it(case, offset, revision, time, texts, letter)
  local place, made = 'L' .. PARTITION .. ':' .. offset, string.format('%.0f', newest_made())
  local value = table.concat({revision, time, made, texts, letter}, '\n')
  call('HSETNX', case_key(case), 'l' .. place, value)
  list('wait:', case, offset, time)
end

local function keep_one(number, ttls, case, stream, offset, time, made, half)
  local me, deadline = 'P' .. PARTITION .. ':' .. offset, plus(time, ttls[stream])
  local kept = kept_of(stream, case)
  if kept and (kept.partition ~= PARTITION or kept.offset ~= offset) then
    return answer(number, 'repeated', stream)
  end
  if not kept then store(case, stream, offset, time, made, half) end
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
      local text = text_of(label.texts, stream)
      if not text or label.time > deadline then
        if not text or not fields['x' .. label.place] then
          answer(number, text and 'late' or 'unfit', stream, PARTITION, label.letter)
        end
      else
        on_time[#on_time + 1] = label
      end
    end
  end
  local mine = made_by(found, me)
  if mine then
    local value = fields['l' .. mine.place]
    if value then
      answer(number, 'joined', stream, PARTITION, label_of(value).letter, mine.replaced)
    end
    return
  end
  -- The newest, unless it is known already: then perhaps one that it replaced is not.
  for _, label in ipairs(on_time) do
    local text = text_of(label.texts, stream)
    local verdict, replaced = decide(case, fields, stream, deadline, label.revision, text)
    if verdict == 'joined' then
      join(case, stream, label.revision, me, label.place, replaced, text)
      return answer(number, verdict, stream, PARTITION, label.letter, replaced)
    end
  end
end

local function hold_one(number, streams, ttls, case, revision, offset, time, texts, letter)
  local me = 'L' .. PARTITION .. ':' .. offset
  local fields = table_of(case_key(case))
  local is_told_late = fields['x' .. me] == 'late'
  if fields['x' .. me] and not is_told_late then return answer(number, 'duplicate') end
  local handled = {}
  for _, stream in ipairs(streams) do
    local kept = kept_of(stream, case)
    if kept then
      handled[#handled + 1] = stream
      local found, by = dones_of(fields, stream), fields['z' .. stream .. '\n' .. me]
      local mine, deadline = made_by(found, me), plus(kept.time, ttls[stream])
      local text = text_of(texts, stream)
      if mine then
        answer(number, 'joined', stream, kept.partition, kept.half, mine.replaced)
      elseif by and by ~= me and by ~= 'r' then
        answer(number, 'waiting', stream)
      elseif not text then
        answer(number, 'unfit', stream)
      elseif time > deadline then
        answer(number, is_told_late and 'duplicate' or 'late', stream)
      else
        local verdict, replaced =
          decide(case, fields, stream, deadline, tonumber(revision), text)
        if verdict == 'joined' then
          join(case, stream, revision, me, me, replaced, text)
          answer(number, verdict, stream, kept.partition, kept.half, replaced)
        else
          -- Nothing else tells of it, so its stretch must be read again.
          if verdict == 'same' then list('mark:', case, offset, time) end
          answer(number, verdict, stream)
        end
      end
    end
  end
  if #handled == 0 and is_crowded(fields, me) then return answer(number, 'crowded') end
  if #handled < #streams and not is_crowded(fields, me) then
    wait_for_it(case, offset, revision, time, texts, letter)
    for _, stream in ipairs(handled) do
      call('HSET', case_key(case), 'z' .. stream .. '\n' .. me, me)
    end
  end
  if #handled == 0 then answer(number, 'waiting') end
  was_labelled(asset_of(case), second_of(time))
end

-- Names of streams, their ttls, and where ARGV goes on.
local function streams_at(first)
  local streams, ttls, count = {}, {}, tonumber(ARGV[first])
  for i = 1, count do
    streams[i] = ARGV[first + 2 * i - 1]
    ttls[streams[i]] = ARGV[first + 2 * i]
  end
  return streams, ttls, first + 2 * count + 1
end

-- Whether nothing that these made can be taken back.
local function committed_in(at)
  return function(by)
    if by == 'r' or starts(by, '!') then return true end
    local input, offset = string.match(by, '^(%w+):(%d+)$')
    return at[input] ~= nil and tonumber(at[input]) > tonumber(offset)
  end
end

-- Nothing is known of an asset when nothing of it is left.
local function leave(asset)
  local seen = table_of(asset_key(asset))
  if next(each_of(seen, 'H')) == nil and next(each_of(seen, 'W')) == nil then
    call('DEL', asset_key(asset))
  end
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
  local asset = asset_of(case)
  call('DEL', kept_key(stream, case))
  call('HDEL', case_key(case), unpack(mine))
  call('ZREM', PRE .. 'exp:' .. PARTITION, member)
  call('ZREM', cases_key(asset), member)
  if call('EXISTS', cases_key(asset)) == 0 then
    call('HDEL', asset_key(asset), 'H' .. PARTITION, 'B' .. PARTITION)
    leave(asset)
  end
  return 1
end

-- Take a label out of its lines.
local function unlist(place, case)
  local asset, member = asset_of(case), place .. '\n' .. case
  call('ZREM', PRE .. 'wait:' .. PARTITION, member)
  call('ZREM', PRE .. 'mark:' .. PARTITION, member)
  call('ZREM', labels_key(asset), member)
  if call('EXISTS', labels_key(asset)) == 0 then
    call('HDEL', asset_key(asset), 'W' .. PARTITION)
    clocks[asset] = nil
    leave(asset)
  end
end

local function forget(place, case, fields)
  local mine = {'l' .. place, 'g' .. place, 'x' .. place}
  for field in pairs(fields) do
    if starts(field, 'z') and string.match(field, '\n(.*)$') == place then
      mine[#mine + 1] = field
    end
  end
  call('HDEL', case_key(case), unpack(mine))
  call('ZREM', PRE .. 'gone:' .. PARTITION, place .. '\n' .. case)
  unlist(place, case)
end

local function is_kept(case, streams)
  for _, stream in ipairs(streams) do
    if call('EXISTS', kept_key(stream, case)) == 1 then return true end
  end
  return false
end

-- Whether anything was decided of a label, by what its case holds.
local function is_decided(place, case, fields, label, tidying)
  if fields['x' .. place] then return true end
  for field, by in pairs(fields) do
    if starts(field, 'd') then return true end
    if starts(field, 'z') and by ~= 'r' and string.match(field, '\n(.*)$') == place then
      return true
    end
  end
  for _, stream in ipairs(tidying.streams) do
    local kept = kept_of(stream, case)
    local is_apt = kept and text_of(label.texts, stream)
    if kept and (not is_apt or label.time > plus(kept.time, tidying.ttls[stream])) then
      return true
    end
  end
  return false
end

-- Give a label up, or forget one of which all is known; return whether either was done.
local function give_up(member, tidying)
  local place, case = string.match(member, '^(.-)\n(.*)$')
  local fields = table_of(case_key(case))
  local value = fields['l' .. place]
  if not tidying.is_committed(place) then return 0 end
  if not value then
    if is_kept(case, tidying.streams) then return 0 end
    forget(place, case, fields)
    return 1
  end
  for field, by in pairs(fields) do
    if starts(field, 'z') and string.match(field, '\n(.*)$') == place then
      if not tidying.is_committed(by) then return 0 end
    end
  end
  local label = label_of(value)
  if is_decided(place, case, fields, label, tidying) then
    -- A revision that said the same again stands before older ones.
    if label.revision > 0 and is_kept(case, tidying.streams) then return 0 end
    forget(place, case, fields)
    return 1
  end
  if tidying.most_given_up == 0 then return 0 end
  tidying.most_given_up = tidying.most_given_up - 1
  call('HSET', case_key(case), 'g' .. place, tidying.given_up + 1)
  call('ZADD', PRE .. 'gone:' .. PARTITION, string.match(place, '%d+$'), member)
  unlist(place, case)
  tidying.letters[#tidying.letters + 1] = label.letter
  return 1
end

-- Forget what was given up, or say it again where that was not committed.
local function settle_given_up(tidying)
  for _, member in ipairs(call('ZRANGE', PRE .. 'gone:' .. PARTITION, 0, -1)) do
    local place, case = string.match(member, '^(.-)\n(.*)$')
    local fields = table_of(case_key(case))
    if tonumber(fields['g' .. place] or 0) <= tidying.given_up then
      forget(place, case, fields)
    else
      call('HSET', case_key(case), 'g' .. place, tidying.given_up + 1)
      tidying.letters[#tidying.letters + 1] = label_of(fields['l' .. place]).letter
    end
  end
end

-- Free predictions of an asset that are over; return whether to look again.
local function free_of(asset, tidying)
  local key, cases = asset_key(asset), cases_key(asset)
  local seen, is_left = table_of(key), false
  local bound, turn = string.match(seen['B' .. PARTITION] or '', '^(%S+) (%S+)$')
  if bound and tidying.through and tonumber(turn) <= tidying.through then
    local limit = tidying.limit
    local over = call('ZRANGEBYSCORE', cases, '-inf', bound, 'LIMIT', 0, limit)
    is_left = #over == limit
    for _, member in ipairs(over) do
      local kept = kept_of(string.match(member, '^(.-)\n(.*)$'))
      if kept and kept.made + LONGEST >= tidying.made then is_left = true break end
      local gone = free(member, tidying.is_committed)
      tidying.limit = tidying.limit - gone
      is_left = is_left or gone == 0
    end
    if is_left then return true end
    call('HDEL', key, 'B' .. PARTITION)
    bound = nil
  end
  local newest, label = tonumber(seen['H' .. PARTITION]), newest_label(seen)
  if not bound and newest and label then
    bound = math.min(newest, label) - 2 * LONGEST - 1
    local first = call('ZRANGE', cases, 0, 0, 'WITHSCORES')[2]
    if not first or tonumber(first) > bound then return false end
    call('HSET', key, 'B' .. PARTITION, string.format('%.0f %.0f', bound, tidying.turn))
  end
  return bound ~= nil
end

local function has_waited(label, tidying)
  return not label or label.made + LONGEST < tidying.made_anywhere
end

local function waiting_label(member)
  local place, case = string.match(member, '^(.-)\n(.*)$')
  local value = call('HGET', case_key(case), 'l' .. place)
  return value and label_of(value)
end

-- Whether each partition has come a ttl beyond a label, or has predicted all its events since.
local function is_passed_everywhere(label, tidying)
  local at = second_of(label.time)
  for number = 0, tidying.partitions - 1 do
    local place = tostring(number)
    local caught, past = tonumber(tidying.caught[place] or -1), tonumber(tidying.past[place] or 0)
    if caught <= label.made + LONGEST and past <= at + LONGEST then return false end
  end
  return true
end

-- Give up labels of an asset that its events have passed; return whether to look again.
local function give_up_of(asset, tidying)
  local passed
  for _, at in pairs(each_of(table_of(asset_key(asset)), 'H')) do
    passed = math.min(passed or math.huge, tonumber(at))
  end
  local limit, gone = tidying.most_given_up, 0
  if limit == 0 then return true end
  local bound = passed and string.format('%.0f', passed - LONGEST - 1) or '+inf'
  local members = call('ZRANGEBYSCORE', labels_key(asset), '-inf', bound, 'LIMIT', 0, limit)
  for _, member in ipairs(members) do
    local label = waiting_label(member)
    local is_passed = passed or not label or is_passed_everywhere(label, tidying)
    if is_passed and has_waited(label, tidying) then
      gone = gone + give_up(member, tidying)
    end
  end
  return gone < #members or #members == limit
end

-- Whether events of an asset, or of its partition, have come two ttls beyond one.
local function has_stood(kept, newest, tidying)
  local come = math.max(newest, tonumber(tidying.past[PARTITION] or 0))
  local at = math.min(second_of(kept.time), kept.made)
  return kept.made + LONGEST < tidying.made and at + 2 * LONGEST < come
end

-- Free what lies too far back and has stood long enough; return of how many labels might come.
local function free_oldest(tidying)
  local before = '(' .. string.format('%.0f', tidying.predictions - tidying.room)
  local key, dropped = PRE .. 'exp:' .. PARTITION, 0
  for _, member in ipairs(call('ZRANGEBYSCORE', key, '-inf', before, 'LIMIT', 0, tidying.limit)) do
    local stream, case = string.match(member, '^(.-)\n(.*)$')
    local kept, seen = kept_of(stream, case), table_of(asset_key(asset_of(case)))
    local newest, label = tonumber(seen['H' .. PARTITION] or 0), newest_label(seen)
    if not kept or has_stood(kept, newest, tidying) then
      local gone = free(member, tidying.is_committed)
      tidying.limit = tidying.limit - gone
      if kept then
        local over = second_of(kept.time) + 1 + 2 * LONGEST
        local is_over = newest >= over and (not label or label >= over)
        if not is_over then dropped = dropped + gone end
      end
    end
  end
  return dropped
end

-- Give up the labels that lie too far back.
local function give_up_oldest(tidying)
  local before = '(' .. string.format('%.0f', tidying.labels - tidying.room)
  local key, limit = PRE .. 'wait:' .. PARTITION, tidying.most_given_up
  for _, member in ipairs(call('ZRANGEBYSCORE', key, '-inf', before, 'LIMIT', 0, limit)) do
    if has_waited(waiting_label(member), tidying) then give_up(member, tidying) end
  end
end

-- The turn up to which labels of all partitions are read and committed.
local function all_through(partitions)
  local through, least = table_of(PRE .. 'through'), math.huge
  for number = 0, partitions - 1 do
    local turn = tonumber(through[tostring(number)])
    if not turn then return nil end
    least = math.min(least, turn)
  end
  return least
end

local actions = {}

function actions.generation()
  call('SET', PRE .. 'token', ARGV[5], 'NX')
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

function actions.lease()
  if not is_present() then return FORGOTTEN end
  return GENERATION .. '@' .. call('HINCRBY', PRE .. 'owner', PARTITION, 1)
end

function actions.unrecovered()
  if not is_present() then return FORGOTTEN end
  local recovered, missing = table_of(PRE .. 'recovered'), {}
  for number = 0, tonumber(ARGV[5]) - 1 do
    if recovered[tostring(number)] ~= GENERATION then missing[#missing + 1] = number end
  end
  return missing
end

function actions.keep()
  if not is_owned() then return FORGOTTEN end
  local _, ttls, first = streams_at(6)
  for i = first, #ARGV, 6 do
    keep_one((i - first) / 6, ttls, unpack(ARGV, i, i + 5))
  end
  tell_clocks()
  rise('applied', 'P' .. PARTITION, ARGV[5])
  return answers
end

function actions.hold()
  if not is_owned() then return FORGOTTEN end
  local streams, ttls, first = streams_at(6)
  for i = first, #ARGV, 6 do
    hold_one((i - first) / 6, streams, ttls, unpack(ARGV, i, i + 5))
  end
  tell_clocks()
  rise('applied', 'L' .. PARTITION, ARGV[5])
  return answers
end

function actions.confirm()
  if not is_ready() then return FORGOTTEN end
  return {}
end

-- The lowest offset in a line, if any.
local function lowest(line)
  return tonumber(call('ZRANGE', PRE .. line .. PARTITION, 0, 0, 'WITHSCORES')[2])
end

local function length_of(line) return call('ZCARD', PRE .. line .. PARTITION) end

-- ARGV: partitions, most predictions to free, committed P and L, turn up to which labels were read,
-- given up, most labels to give up, whether those that were given up are said again, room, whether
-- all events are predicted, streams.
function actions.tidy()
  if not is_owned() then return FORGOTTEN end
  rise('at', 'P' .. PARTITION, ARGV[7])
  rise('at', 'L' .. PARTITION, ARGV[8])
  if ARGV[9] ~= '' then call('HSET', PRE .. 'through', PARTITION, ARGV[9]) end
  if ARGV[14] == '1' then
    call('HSET', PRE .. 'caught', PARTITION, string.format('%.0f', newest_made()))
  end
  local most, most_given_up = tonumber(ARGV[6]), tonumber(ARGV[11])
  local streams, ttls = streams_at(15)
  local tidying = {
    limit = most, predictions = tonumber(ARGV[7]), labels = tonumber(ARGV[8]),
    given_up = tonumber(ARGV[10]), most_given_up = most_given_up, room = tonumber(ARGV[13]),
    streams = streams, ttls = ttls, letters = {}, turn = call('INCR', PRE .. 'turn'),
    partitions = tonumber(ARGV[5]), past = table_of(PRE .. 'past'),
    caught = table_of(PRE .. 'caught'), through = all_through(tonumber(ARGV[5])),
    made = tonumber(call('HGET', PRE .. 'made', PARTITION) or 0), made_anywhere = newest_made(),
    is_committed = committed_in(table_of(PRE .. 'at')),
  }
  if ARGV[12] == '1' then settle_given_up(tidying) end
  local dropped = free_oldest(tidying)
  give_up_oldest(tidying)
  local look = PRE .. 'look:' .. PARTITION
  for _, asset in ipairs(call('SPOP', look, MOST_ASSETS)) do
    local is_left = tidying.limit == 0 or free_of(asset, tidying)
    local is_waited_for = give_up_of(asset, tidying)
    if is_left or is_waited_for then call('SADD', look, asset) end
  end
  local is_full = tidying.limit == 0 or (most_given_up > 0 and tidying.most_given_up == 0)
  local waiting
  for _, line in ipairs({'wait:', 'mark:', 'gone:'}) do
    local first = lowest(line)
    if first then waiting = math.min(waiting or first, first) end
  end
  local found = {
    is_full and 1 or 0, dropped, tidying.turn, lowest('exp:') or '', length_of('exp:'),
    waiting or '', length_of('wait:') + length_of('gone:'),
  }
  for i = 4, 6, 2 do
    if found[i] ~= '' then found[i] = string.format('%.0f', found[i]) end
  end
  for _, letter in ipairs(tidying.letters) do found[#found + 1] = letter end
  return found
end

-- ARGV: from where on predictions are read again, joins.
function actions.restore_done()
  if not is_present() then return FORGOTTEN end
  for i = 6, #ARGV, 7 do
    local case, stream, time = ARGV[i], ARGV[i + 1], ARGV[i + 4]
    local member = stream .. '\n' .. case
    join(case, stream, ARGV[i + 2], '!' .. ARGV[i + 3], '', ARGV[i + 5], ARGV[i + 6])
    call('ZADD', PRE .. 'exp:' .. PARTITION, 'LT', ARGV[5], member)
    call('ZADD', cases_key(asset_of(case)), second_of(time), member)
    call('SADD', PRE .. 'look:' .. PARTITION, asset_of(case))
  end
  return {}
end

-- ARGV: labels that will come again, from where on labels are read again, labels.
function actions.restore_buried()
  if not is_present() then return FORGOTTEN end
  for i = 7, #ARGV, 4 do
    local case, offset, is_late = ARGV[i], ARGV[i + 1], ARGV[i + 3] == '1'
    local place = 'L' .. PARTITION .. ':' .. offset
    if not is_late then forget(place, case, table_of(case_key(case))) end
    if is_late or tonumber(offset) >= tonumber(ARGV[5]) then
      call('HSET', case_key(case), 'x' .. place, is_late and 'late' or 'all')
      list('mark:', case, offset, ARGV[i + 2], ARGV[6])
    end
  end
  return {}
end

function actions.restore_kept()
  if not is_present() then return FORGOTTEN end
  for i = 5, #ARGV, 6 do
    local case, stream = ARGV[i], ARGV[i + 1]
    if call('EXISTS', kept_key(stream, case)) == 0 then
      store(unpack(ARGV, i, i + 5))
      for field in pairs(table_of(case_key(case))) do
        if starts(field, 'l') then
          call('HSETNX', case_key(case), 'z' .. stream .. '\n' .. string.sub(field, 2), 'r')
        end
      end
    end
  end
  tell_clocks()
  return {}
end

function actions.restore_held()
  if not is_present() then return FORGOTTEN end
  local streams, _, first = streams_at(5)
  for i = first, #ARGV, 6 do
    local case, revision, offset, time, texts, letter = unpack(ARGV, i, i + 5)
    local place, handled, told = 'L' .. PARTITION .. ':' .. offset, {}, 0
    for _, stream in ipairs(streams) do
      if call('EXISTS', kept_key(stream, case)) == 1 then
        handled[#handled + 1] = stream
        told = told + call('HEXISTS', case_key(case), 'd' .. stream .. '\n' .. revision)
      end
    end
    -- A revision may have said again what was joined, of which nothing else tells; and a label may
    -- have been given up when Redis forgot, which nobody committed.
    if told < #streams or tonumber(revision) > 0 then
      wait_for_it(case, offset, revision, time, texts, letter)
      for _, stream in ipairs(handled) do
        call('HSETNX', case_key(case), 'z' .. stream .. '\n' .. place, 'r')
      end
    end
    was_labelled(asset_of(case), second_of(time))
  end
  tell_clocks()
  return {}
end

-- ARGV: next offset of P and L, partitions.
function actions.finish()
  if not is_present() then return FORGOTTEN end
  call('HSET', PRE .. 'at', 'P' .. PARTITION, ARGV[5], 'L' .. PARTITION, ARGV[6])
  rise('applied', 'P' .. PARTITION, ARGV[5])
  rise('applied', 'L' .. PARTITION, ARGV[6])
  call('HDEL', PRE .. 'through', PARTITION)
  call('HDEL', PRE .. 'caught', PARTITION)
  call('HSET', PRE .. 'recovered', PARTITION, GENERATION)
  local recovered = table_of(PRE .. 'recovered')
  for number = 0, tonumber(ARGV[7]) - 1 do
    if recovered[tostring(number)] ~= GENERATION then return {} end
  end
  call('SET', PRE .. 'ready', GENERATION)
  return {}
end

return actions[WHAT]()
