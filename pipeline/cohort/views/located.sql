-- The rows of a table of events, each with the ICU stay that it belongs to: episode_id, and the
-- columns of the table. In a query's head and text it is named with the table,
-- located_inputevents; {table} and {time} stand for the table and its column of times. It is read
-- where it lies: ask for items.
-- Tables: episodes.
--
-- A row belongs to the stay that it names; one that names none to the stay that it falls into.
-- ASSUME that a row of a stay from before its clock_zero (a drug already running on arrival), or
-- even before its intime, is of the stay: an onset before T, hence no incident case; and that a row
-- from after its outtime is not.

SELECT episodes.episode_id, {table}.*
FROM {table}
INNER JOIN episodes USING (stay_id)
WHERE {table}.{time} <= episodes."end"
UNION ALL
SELECT episodes.episode_id, {table}.*
FROM {table}
INNER JOIN episodes ON {table}.stay_id IS NULL AND {table}.hadm_id = episodes.hadm_id
WHERE {table}.{time} >= episodes.start AND {table}.{time} < episodes."end"
