-- Task readmission as published by Wang et al. 2024: whose next admission comes within 720 h?
-- Tables: episodes, admissions, patients. One row per episode; columns as in ../mortality.sql.
--
-- The next admission is looked up among the episodes alone, so that one without an ICU stay counts
-- as none; an admission that overlaps the next one has a negative gap and is a positive; the dead,
-- and the last admission of each patient, are negatives (wang2024.md 6.2).

WITH followed AS (
    SELECT
        episodes.episode_id,
        admissions.dischtime,
        -- ASSUME that "next" is by admittime; of two at the same time the higher hadm_id is next.
        LEAD(admissions.admittime) OVER (
            PARTITION BY episodes.subject_id ORDER BY admissions.admittime, episodes.hadm_id
        ) AS next_admittime
    FROM episodes
    INNER JOIN admissions USING (hadm_id)
)

SELECT
    episode_id,
    COALESCE(next_admittime <= dischtime + INTERVAL 720 HOUR, FALSE) AS label
FROM followed
