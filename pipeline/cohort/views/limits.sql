-- Charted code status: hadm_id; from when on a limit of treatment (comfort measures only, or not to
-- be resuscitated) is known; and from when on a status without its text, as in copies that lack
-- text-only values.
-- Tables: chartevents.
-- It is read once, by item id.
--
-- Items: 223758 Code Status, 228687 Code Status. (of the physicians' progress notes). The values
-- of 223758 are those of mimic-code's concept code_status: 'Full code', 'Comfort measures only',
-- 'DNR (do not resuscitate)', 'DNR / DNI', 'DNI (do not intubate)'. Not to intubate alone is no
-- limit here. ASSUME that 228687, of whose values no list is published, words a limit in one of the
-- ways below, also in that of MIMIC's orders ('DNAR (DO NOT attempt resuscitation …)'), and that no
-- text denies one.
-- ASSUME that a limit holds from its first charting on, also where a later row says 'Full code'.
-- A row is known when it is stored, as all that is charted; without storetime, when it is charted.

WITH statuses AS (
    SELECT
        hadm_id,
        COALESCE(storetime, charttime) AS known,
        REGEXP_MATCHES(
            LOWER(value), 'comfort|\bcmo\b|\bdna?r\b|not\s+(attempt\s+)?resuscitat'
        ) AS limited,
        value IS NULL AS untold
    FROM chartevents
    WHERE itemid IN (223758, 228687)
)

SELECT
    hadm_id,
    MIN(known) FILTER (WHERE limited) AS limited_from,
    MIN(known) FILTER (WHERE untold) AS untold_from
FROM statuses
GROUP BY hadm_id
