DROP TABLE notification.announcements;
DROP TABLE notification.events;
DROP TABLE notification.deliveries;
