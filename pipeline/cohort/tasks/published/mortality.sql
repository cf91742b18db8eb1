-- Task mortality as published by Wang et al. 2024: who dies in this admission?
-- Kind: binary. Tables: episodes, admissions.
-- One row per episode; columns as in ../admission/mortality.sql.
--
-- The prediction time is not enforced: who died or left before 48 h stays in (wang2024.md 6.3), and
-- of the three columns that tell of a death discharge_location decides.

SELECT
    episodes.episode_id,
    -- ASSUME that an unknown discharge_location is none: a survivor.
    COALESCE(admissions.discharge_location = 'DIED', FALSE) AS label
FROM episodes
INNER JOIN admissions USING (hadm_id)
