-- The earliest heart rate of every ICU stay that has one: the first sign that the patient is there.
-- intime is when a bed was assigned; surgical patients hold one for hours before they arrive.
-- Tables: chartevents.
-- It is read once, by item id. Rows of no stay or of another stay do not count.
-- ASSUME that any charted heart rate means a patient on a monitor, whatever its value.

SELECT stay_id, MIN(charttime) AS first_heart_rate
FROM chartevents
WHERE itemid = 220045 AND stay_id IS NOT NULL AND charttime IS NOT NULL
GROUP BY stay_id
