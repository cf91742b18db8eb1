-- Charted code status: hadm_id, charttime, limited (comfort measures only, or not to be
-- resuscitated), untold (without its text, as in copies that lack text-only values).
-- Table: chartevents, read once, by item id.
--
-- Items: 223758 Code Status, 228687 Code Status. (of the physicians' progress notes). Values as in
-- mimic-code's concept code_status: 'Full code', 'Comfort measures only', 'DNR (do not
-- resuscitate)', 'DNR / DNI', 'DNI (do not intubate)'. Not to intubate alone is no limit here.
-- ASSUME that a limit holds from its first charting on, also where a later row says 'Full code'.

SELECT
    hadm_id,
    charttime,
    COALESCE(
        LOWER(value) LIKE '%comfort measures%'
        OR LOWER(value) LIKE '%dnr%'
        OR LOWER(value) LIKE '%do not resuscitate%',
        FALSE
    ) AS limited,
    value IS NULL AS untold
FROM chartevents
WHERE itemid IN (223758, 228687)
