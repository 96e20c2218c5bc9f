DROP TABLE notification.deliveries;
