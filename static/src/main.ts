import { createApp } from 'vue'
import { resumeSignIn } from './account/account'
import App from './App.vue'
import './style/base.css'
import { route } from './shell/route'

// Before the first paint: the overlay must never flash a background into somebody's broadcast.
if (route.value.page === 'overlay') document.documentElement.classList.add('overlay')

void resumeSignIn()
createApp(App).mount('#goligoli')
