-- Tokens of every episode as Wang et al. 2024 make them, flaws included (wang2024.md 3, 6.3–6.5).
-- Views: episodes, catalogue (signals_published.csv), words (signal, first row in the vocabulary),
-- chartevents, labevents, procedureevents, d_items, d_labitems.
--
-- charttime decides, not storetime; what was seen before admittime is dropped; means, ranges and
-- categories are fitted on all episodes, test included: on their readings within the windows.
WITH items AS (
    SELECT c.*, d.itemid FROM catalogue AS c JOIN d_items AS d ON d.label = c.label
    WHERE c.source <> 'labevents' AND d.linksto = c.source
    UNION ALL
    SELECT c.*, d.itemid FROM catalogue AS c JOIN d_labitems AS d ON d.label = c.label
    WHERE c.source = 'labevents' AND d.fluid = 'Blood'
),
-- ASSUME times to the minute, as MIMIC charts; minutes count from the admission.
-- ASSUME a row that the source has twice is one: else the means of its bins would follow it.
charted AS (
    SELECT DISTINCT
        r.itemid, r.charttime, r.storetime, e.episode_id, i.signal, i.categories,
        CAST(date_diff('minute', e.start, r.charttime) AS INTEGER) AS minute,
        r.value AS words,
        -- The number in the column value; the ends of a range are within it. ASSUME other text is
        -- no value, as of labs: the published code stops at it.
        CASE WHEN try_cast(r.value AS DOUBLE) BETWEEN i.low AND i.high
            THEN try_cast(r.value AS DOUBLE) END AS value
    FROM chartevents AS r JOIN episodes AS e USING (hadm_id) JOIN items AS i USING (itemid)
    WHERE r.charttime > e.start AND r.charttime <= e.prediction_time
),
-- Scores: the texts that occur in alphabetical order, that of code points, as Python sorts.
-- ASSUME a reading without text is none.
scores AS (
    SELECT
        episode_id, minute, signal,
        dense_rank() OVER (PARTITION BY signal ORDER BY words) - 1 AS number
    FROM charted
    WHERE categories IS NOT NULL AND words IS NOT NULL
),
vitals AS (
    SELECT episode_id, minute, signal, value FROM charted WHERE categories IS NULL
),
-- Labs: the number in the column value; other text (___, NEG) is no value, and nothing stands in.
labs AS (
    SELECT
        e.episode_id, i.signal,
        CAST(date_diff('minute', e.start, l.charttime) AS INTEGER) AS minute,
        try_cast(l.value AS DOUBLE) AS value
    FROM labevents AS l JOIN episodes AS e USING (hadm_id) JOIN items AS i USING (itemid)
    WHERE l.charttime > e.start AND l.charttime <= e.prediction_time
),
numbers AS (
    SELECT episode_id, minute, signal, value FROM vitals WHERE value IS NOT NULL
    UNION ALL
    SELECT episode_id, minute, signal, value FROM labs WHERE isfinite(value)
),
ranges AS (
    SELECT signal, min(value) AS low, max(value) AS high FROM numbers GROUP BY signal
),
-- 200 bins of equal width from the lowest to the highest value of the label; a bin holds its upper
-- end, the first one both: the number of inner edges k / 200 below the value's share. Beside the
-- product, which may miss by one where a share lies on an edge, the edges decide.
-- A label with one value is all in bin 0.
shares AS (
    SELECT
        n.episode_id, n.minute, n.signal,
        CASE WHEN r.high > r.low THEN (n.value - r.low) / (r.high - r.low) ELSE 0 END AS share
    FROM numbers AS n JOIN ranges AS r USING (signal)
),
binned AS (
    SELECT
        episode_id, minute, signal,
        greatest(
            trunc(share * 200) - 1
            + CAST(trunc(share * 200) * 5e-3 < share AS INTEGER)
            + CAST((trunc(share * 200) + 1) * 5e-3 < share AS INTEGER),
            0
        ) AS number
    FROM shares
),
-- A vital outside its "normal" range is missing, and so is one without a number: it gets the
-- rounded mean of the bins of this admission and label, else of all bins of the label. Rounded to
-- even at a half, as Python rounds.
own_mean AS (
    SELECT episode_id, signal, round_even(avg(number), 0) AS number
    FROM binned GROUP BY episode_id, signal
),
overall_mean AS (
    SELECT signal, round_even(avg(number), 0) AS number FROM binned GROUP BY signal
),
filled AS (
    SELECT v.episode_id, v.minute, v.signal, coalesce(own.number, overall.number) AS number
    FROM vitals AS v
    LEFT JOIN own_mean AS own USING (episode_id, signal)
    JOIN overall_mean AS overall USING (signal)
    WHERE v.value IS NULL
),
points AS (
    SELECT * FROM scores UNION ALL SELECT * FROM binned UNION ALL SELECT * FROM filled
),
-- Procedures by their start in the window. Without an end, or one at the start, none ever runs.
procedures AS (
    SELECT
        e.episode_id, i.signal,
        CAST(date_diff('minute', e.start, p.starttime) AS INTEGER) AS minute,
        CAST(date_diff('minute', e.start, p.endtime) AS INTEGER) AS end_minute
    FROM procedureevents AS p JOIN episodes AS e USING (hadm_id) JOIN items AS i USING (itemid)
    WHERE p.starttime > e.start AND p.starttime <= e.prediction_time
),
-- The start of a procedure is an event time, too.
steps AS (
    SELECT episode_id, minute FROM points UNION SELECT episode_id, minute FROM procedures
),
running AS (
    SELECT s.episode_id, s.minute, p.signal, 0 AS number
    FROM steps AS s JOIN procedures AS p USING (episode_id)
    WHERE p.minute <= s.minute AND s.minute < p.end_minute
)
-- DISTINCT: each time has a set of tokens.
SELECT DISTINCT t.episode_id, t.minute, w.signal, CAST(w.first_row + t.number AS INTEGER) AS token
FROM (SELECT * FROM points UNION ALL SELECT * FROM running) AS t JOIN words AS w USING (signal)
ORDER BY ALL
