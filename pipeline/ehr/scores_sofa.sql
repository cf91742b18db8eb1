-- SOFA (Vincent et al. 1996): points of six organs by the worst value known in the 24 hours before
-- T; null: no value. One row per episode.
-- Tables: labevents, inputevents. Views of scores.sql: asked, charted, vitals, gcs, ventilated,
-- urine.

-- The share of oxygen is charted in per cent or as a fraction; in between it is a typing error.
CREATE TEMP MACRO per_cent(share) AS
    CASE
        WHEN share > 0.2 AND share <= 1 THEN 100 * share
        WHEN share >= 20 AND share <= 100 THEN share
    END;

WITH labs AS (
    SELECT *, greatest(charttime, {known_labs}) AS known FROM labevents
    WHERE itemid IN (50821, 50816, 52033, 50885, 50912, 51265)
),
-- A lab without hadm_id belongs to the one admission whose observation it falls into.
drawn AS (
    SELECT a.episode_id, l.charttime, l.specimen_id, l.itemid, l.value AS words, l.valuenum AS value
    FROM labs AS l JOIN asked AS a
        ON l.subject_id = a.subject_id
        AND (
            l.hadm_id = a.hadm_id
            OR l.hadm_id IS NULL AND (a.next_from IS NULL OR l.charttime < a.next_from)
        )
    WHERE l.charttime >= a.since AND l.charttime < a.cut AND l.known < a.cut
),
-- Gases of arterial blood: the specimen says what it is (52033).
gases AS (
    SELECT
        episode_id, max(charttime) AS charttime,
        max(value) FILTER (itemid = 50821) AS pao2,
        max(per_cent(value)) FILTER (itemid = 50816) AS of_sample
    FROM drawn
    GROUP BY episode_id, specimen_id
    HAVING max(words) FILTER (itemid = 52033) = 'ART.'
),
oxygen AS (
    SELECT episode_id, charttime, max(per_cent(value)) AS share
    FROM charted
    WHERE name = 'oxygen share'
    GROUP BY ALL
    HAVING share IS NOT NULL
),
-- ASSUME the share of oxygen is that of the sample, else the last charted in the 4 hours before it.
ratios AS (
    SELECT
        g.episode_id, g.charttime,
        100 * g.pao2 / coalesce(
            g.of_sample,
            CASE WHEN o.charttime >= g.charttime - INTERVAL 4 HOUR THEN o.share END
        ) AS ratio
    FROM gases AS g ASOF LEFT JOIN oxygen AS o
        ON g.episode_id = o.episode_id AND g.charttime >= o.charttime
),
-- ASSUME respiratory support is a ventilator through a tube.
supported AS (
    SELECT
        r.episode_id, r.charttime, r.ratio,
        bool_or(v.begun IS NOT NULL) AS support
    FROM ratios AS r LEFT JOIN ventilated AS v
        ON v.episode_id = r.episode_id AND r.charttime >= v.begun AND r.charttime <= v.ended
    WHERE r.ratio IS NOT NULL
    GROUP BY ALL
),
respiration AS (
    SELECT
        episode_id,
        max(CASE
            WHEN ratio < 100 AND support THEN 4
            WHEN ratio < 200 AND support THEN 3
            WHEN ratio < 300 THEN 2
            WHEN ratio < 400 THEN 1
            ELSE 0
        END) AS respiration
    FROM supported
    GROUP BY episode_id
),
coagulation AS (
    SELECT
        episode_id, min(value) AS platelets, -- 10^9/l
        CASE
            WHEN platelets < 20 THEN 4
            WHEN platelets < 50 THEN 3
            WHEN platelets < 100 THEN 2
            WHEN platelets < 150 THEN 1
            ELSE 0
        END AS coagulation
    FROM drawn
    WHERE itemid = 51265 AND value > 0
    GROUP BY episode_id
),
liver AS (
    SELECT
        episode_id, max(value) AS bilirubin, -- mg/dl
        CASE
            WHEN bilirubin >= 12 THEN 4
            WHEN bilirubin >= 6 THEN 3
            WHEN bilirubin >= 2 THEN 2
            WHEN bilirubin >= 1.2 THEN 1
            ELSE 0
        END AS liver
    FROM drawn
    WHERE itemid = 50885 AND value > 0
    GROUP BY episode_id
),
-- Rates in µg/kg/min of what ran in the 24 hours. A row is known from its start on, with its rate;
-- that it was void (nothing given, or rewritten) from its end on, as in events.sql.
-- ASSUME any time of an infusion counts, not an hour at least.
infusions AS (
    SELECT
        *, greatest(starttime, {known_infusions}) AS known,
        coalesce(statusdescription, '') = 'Rewritten' OR coalesce(amount, 0) <= 0 AS void,
        CASE
            WHEN itemid = 221906 THEN 'norepinephrine'
            WHEN itemid IN (221289, 229617) THEN 'epinephrine'
            WHEN itemid = 221662 THEN 'dopamine'
            WHEN itemid = 221653 THEN 'dobutamine'
        END AS drug,
        -- where the weight is 1 the rate is in µg already
        CASE
            WHEN rateuom = 'mg/kg/min' AND patientweight <> 1 THEN 1000 * rate ELSE rate
        END AS dose
    FROM inputevents
    WHERE itemid IN (221906, 221289, 229617, 221662, 221653)
),
infused AS (
    SELECT
        a.episode_id,
        max(CASE
            WHEN i.drug IN ('norepinephrine', 'epinephrine') AND i.dose > 0.1 THEN 4
            WHEN i.drug = 'dopamine' AND i.dose > 15 THEN 4
            WHEN i.drug IN ('norepinephrine', 'epinephrine') THEN 3
            WHEN i.drug = 'dopamine' AND i.dose > 5 THEN 3
            ELSE 2
        END) AS points
    FROM infusions AS i JOIN asked AS a USING (hadm_id)
    WHERE i.dose > 0 AND i.starttime >= a.observed_from AND i.starttime < a.cut AND i.known < a.cut
        AND (i.endtime IS NULL OR i.endtime > a.since)
        AND NOT (i.void AND coalesce(i.endtime < a.cut, FALSE))
    GROUP BY a.episode_id
),
cardiovascular AS (
    SELECT
        episode_id,
        greatest(
            i.points,
            CASE WHEN v.pressure_min < 70 THEN 1 WHEN v.pressure_min >= 70 THEN 0 END
        ) AS cardiovascular
    FROM vitals AS v FULL JOIN infused AS i USING (episode_id)
),
cns AS (
    SELECT
        episode_id,
        CASE
            WHEN gcs_min < 6 THEN 4
            WHEN gcs_min < 10 THEN 3
            WHEN gcs_min < 13 THEN 2
            WHEN gcs_min < 15 THEN 1
            ELSE 0
        END AS cns
    FROM gcs
),
creatinine AS (
    SELECT
        episode_id, max(value) AS creatinine, -- mg/dl
        CASE
            WHEN creatinine >= 5 THEN 4
            WHEN creatinine >= 3.5 THEN 3
            WHEN creatinine >= 2 THEN 2
            WHEN creatinine >= 1.2 THEN 1
            ELSE 0
        END AS points
    FROM drawn
    WHERE itemid = 50912 AND value > 0 AND value <= 150
    GROUP BY episode_id
),
renal AS (
    SELECT
        episode_id,
        greatest(
            c.points,
            CASE WHEN u.ml < 200 THEN 4 WHEN u.ml < 500 THEN 3 WHEN u.ml >= 500 THEN 0 END
        ) AS renal
    FROM creatinine AS c FULL JOIN urine AS u USING (episode_id)
)
SELECT
    asked.episode_id, respiration.respiration, coagulation.coagulation, liver.liver,
    cardiovascular.cardiovascular, cns.cns, renal.renal
FROM asked
LEFT JOIN respiration USING (episode_id)
LEFT JOIN coagulation USING (episode_id)
LEFT JOIN liver USING (episode_id)
LEFT JOIN cardiovascular USING (episode_id)
LEFT JOIN cns USING (episode_id)
LEFT JOIN renal USING (episode_id)
ORDER BY asked.episode_id
