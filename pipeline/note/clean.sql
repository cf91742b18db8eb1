-- The words of every report, whatever the cohort: lower case, only letters, of any script and
-- length; an accent belongs to its letter, whether written as one character or as two. Removed
-- spans (___), numbers and layout vanish: Doc2Vec reads these words, a BERT the report as it was
-- written.
-- Reports without a word or a time are dropped and counted.
WITH worded AS (
    SELECT
        note_id, subject_id, hadm_id, charttime, storetime,
        regexp_extract_all(
            lower(nfc_normalize(coalesce(text, ''))), '\p{L}[\p{L}\p{M}]*'
        ) AS words
    FROM radiology
    WHERE charttime IS NOT NULL
)
SELECT note_id, subject_id, hadm_id, charttime, storetime, array_to_string(words, ' ') AS words
FROM worded
WHERE len(words) > 0
ORDER BY note_id
