-- Marks of ventilation in ICU stays: episode_id, onset, mark (invasive, non-invasive, peep).
-- Views: located_chartevents, located_procedureevents.
-- ASSUME that any charted PEEP, 0 included, means a ventilator, as the predecessor does.

SELECT episode_id, charttime AS onset, 'peep' AS mark
FROM located_chartevents
WHERE itemid = 220339
UNION ALL
SELECT
    episode_id,
    starttime AS onset,
    CASE itemid WHEN 225792 THEN 'invasive' ELSE 'non-invasive' END AS mark
FROM located_procedureevents
WHERE itemid IN (225792, 225794)
