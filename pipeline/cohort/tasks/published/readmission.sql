-- Task readmission as published by Wang et al. 2024: whose next admission comes within 720 h?
-- Kind: binary. Tables: episodes, admissions.
-- with_cxr: episode_id, those with a film that the protocol takes.
-- One row per episode; columns as in ../admission/mortality.sql.
--
-- The label comes from the table of films: the next admission is looked up among the episodes with
-- an antero-posterior film in their first 48 hours, so that one without such a film, or without an
-- ICU stay, counts as none; an admission that overlaps the next one has a negative gap and is a
-- positive; the dead, and the last such admission of each patient, are negatives (wang2024.md 6.2).

WITH filmed AS (
    SELECT
        episodes.episode_id,
        admissions.dischtime,
        -- ASSUME that of two admissions at the same time the higher hadm_id is next.
        LEAD(admissions.admittime) OVER (
            PARTITION BY episodes.subject_id ORDER BY admissions.admittime, episodes.hadm_id
        ) AS next_admittime
    FROM episodes
    INNER JOIN admissions USING (hadm_id)
    WHERE episodes.episode_id IN (SELECT episode_id FROM with_cxr)
)

SELECT
    episodes.episode_id,
    CASE
        WHEN filmed.episode_id IS NOT NULL
            THEN COALESCE(
                filmed.next_admittime <= filmed.dischtime + INTERVAL 720 HOUR, FALSE
            )
    END AS label
FROM episodes
LEFT JOIN filmed ON episodes.episode_id = filmed.episode_id
