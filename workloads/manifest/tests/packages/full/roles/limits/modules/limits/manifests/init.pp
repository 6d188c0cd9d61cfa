class limits {}
