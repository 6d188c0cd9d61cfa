package 'index'
