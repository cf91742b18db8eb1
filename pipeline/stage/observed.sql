-- The admissions of the episodes: since when each is observed (from the emergency department on;
-- where several ICU stays are episodes of one admission, the earliest), and when the patient's next
-- one begins to be, null of the last. A row without hadm_id belongs to the one admission whose
-- observation it falls into: the latest that had begun.
-- Views: episodes.
-- ASSUME admissions without an episode take no row from another: where episodes are ICU stays,
-- those without one.
SELECT
    subject_id, hadm_id, min(observed_from) AS since,
    lead(min(observed_from)) OVER (
        PARTITION BY subject_id ORDER BY min(observed_from), hadm_id
    ) AS next_from
FROM episodes
GROUP BY subject_id, hadm_id
