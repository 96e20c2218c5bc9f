DROP TABLE notification.deliveries;
DROP TABLE notification.inbox;
