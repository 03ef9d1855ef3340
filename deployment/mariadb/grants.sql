-- Each service has a database of its own: goligoli_user, goligoli_live, …; it makes it itself.
GRANT ALL ON `goligoli\_%`.* TO goligoli@'%';
