DROP TABLE catalog.ticket_types;
DROP TABLE catalog.events;
DROP FUNCTION catalog.search_query;
DROP TEXT SEARCH CONFIGURATION catalog.folded;
DROP FUNCTION catalog.spaced;
DROP FUNCTION catalog.unspaced_letters;
DROP FUNCTION catalog.search_grams;
DROP FUNCTION catalog.grams;
DROP FUNCTION catalog.folded;
