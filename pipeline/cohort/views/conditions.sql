-- The conditions that cohorts of admissions and of ICU stays share: one row per admission of the
-- source; what may stand before the colon of "condition …: …" is told in attrition.py.
-- Tables: admissions. Views: persons. Films: subject_id of each film; empty unless a cohort asks
-- for any. Settings: $min_age, $max_age, $admission_types (a list, in capitals).

SELECT
    hadm_id,
    persons.age >= $min_age
        AS "condition: aged {min_age} or over at admission",
    persons.age <= $max_age
        AS "condition: aged {max_age} or under at admission",
    LIST_CONTAINS(CAST($admission_types AS VARCHAR []), persons.admission_type)
        AS "condition: of the admission types {admission_types}",
    persons.emergency
        AS "condition if films = covered: admitted through the emergency department",
    persons.in_years_of_films
        AS "condition if films = covered: in years of the films (2011 to 2016)",
    admissions.subject_id IN (SELECT subject_id FROM films)
        AS "condition if films = any, looking ahead: of patients with a film at any time"
FROM admissions
INNER JOIN persons USING (hadm_id)
