"""The journey of night-train.xml: what is said in the train, scene by scene.

How the scenes are written, one danmaku a line, in the order in which they are told:

    {words} text // echo // echo

`// echo` is what other viewers answer a moment later. The optional words fix what is
otherwise drawn: a mode (top, bottom, reverse), a size (small, large), a colour (rrggbb),
or one of the CAST, who stay themselves throughout.
"""

from dataclasses import dataclass
from typing import Tuple

CAST = ("host", "rail", "count", "knit", "cat", "thesis", "nurse", "noodle", "far", "kid")
LAST_S = 239.5

WHITE = "FFFFFF"
BLACK = "222222"  # only where a scene asks for it: at night nobody can read it
PALETTE = (
    "FE0302", "FF7204", "FFAA02", "FFD302", "FFFF00", "A0EE00", "00CD00",
    "019899", "4266BE", "89D5FF", "CC0273", "9B9B9B",
)  # fmt: skip


@dataclass(frozen=True)
class Scene:
    """Some seconds of the journey. `crowd` is for peaks: how many lines in each second,
    filled up with `shouts`, one row a language; without it the told lines spread evenly."""

    start_s: float
    end_s: float
    told: str
    tints: Tuple[str, ...] = PALETTE
    white: float = 0.84
    crowd: Tuple[int, ...] = ()
    shouts: str = ""


BOARDING = Scene(0.8, 14, """
{host top FFD302} 天亮前最后一段山路 · the last mountains before dawn
来了来了，占个靠窗的座 // 我坐你旁边
hello from the upper bunk
刚醒，第一件事就是点进来
is it still dark? good, I did not miss it
早，也可能是晚，我已经分不清了 // 哈哈哈哈
{far} past midnight here and I refuse to go to bed // same // go to bed!
{nurse} 刚下夜班，来这里坐一会儿 // 辛苦了 // 辛苦啦 ❤️ // you earned it
the sound of the rails is the best part of my week
{count} 从昨晚数到现在，26 个隧道，我还在
who else has this on the second monitor at work // me // 🙋
老规矩，先倒杯热水 ☕
""")

SNOW = Scene(15.5, 38, """
下雪了
snow on the glass, the tiny kind
玻璃上有一颗雪花，走了很久都没掉下去
{far} my lamp in my window, your snow on my screen
远处只有一盏灯，不知道谁家起得这么早
someone is awake up there. hello, whoever you are
{knit 89D5FF} row 41 of the scarf, same blue as this sky
车厢里有人轻轻打呼噜
{small} 对不起，是我
the whole valley is whispering
""", tints=("89D5FF", "4266BE", "9B9B9B"))

COMPANY = Scene(39, 62, """
{noodle} 泡面已泡上，计时三分钟 // 什么味的 // jealous
instant noodles at dawn are a human right // 同意
{noodle} 红烧的，隔壁铺都坐起来了 // 哈哈哈哈 // 😂
{cat} my cat sits in front of the screen and follows the poles // 猫：一根，两根，三根
{thesis} 论文还差结论，到站前写完 // 我们监督你 // you can do it!
{cat} she just tried to catch one // 哈哈哈哈 // good hunter
where is this train going, actually // 往东 // towards breakfast
{thesis} 中午截止，别问 // 不问了哈哈
{rail} 单线区段，咔哒声变快就是要下坡了
how do you know all this?
{rail} 开了三十年，退休啦，现在只坐不开 // 师傅好！ // 🫡
{kid} my daughter asks if the train gets cold // awww
tell her it wears a very long blanket
左边那条河是不是结冰了 // 结了一半
half frozen, half in a hurry
我宣布这里是我的冬季办公室
five more minutes in bed > everything // lol
tea & snow & nothing to do
主播的窗户擦得真干净
{host} 哈一口气，袖子一抹 // 哈哈哈哈 // 高科技
""")

PORTAL = Scene(62.5, 71.6, """
{count bottom FFD302} 注意，第 27 号，全线最长的隧道 // 准备憋气 // 来了吗
first timers: hold your breath at the portal // why? // it's tradition
我要憋！ // 我也憋
{rail} 四公里多，你们别真憋到底 // 哈哈哈哈
see the red lamp? that's it
看到洞口了 // 看到了
{cat} cat is ready // 猫准备好了
手机抓稳
three...
二……
one!
""")

TUNNEL = Scene(72, 79, """
{large} 进隧道了！
谁把天关了
{222222} 你看不见我
who switched off the sky
27！
{222222 large} lights out
屏幕里只剩我自己的脸
oh. hello, my own face
the sound!! turn it up
声音好大，好爽
{cat} cat has left the room
{noodle} 汤洒了一点，面没事
my whole room went dark with it, nice
这个回声我爱了
信号别断啊
please don't buffer please don't buffer
有人怕黑吗？牵手 🤝
holding hands in the dark 🤝
居然没卡
not one dropped frame, how
憋气十秒，脸已经红了
still holding, barely
隧道灯像进度条
lamps like a loading bar
我放弃憋气了，我是普通人
pressure pop, every single time
山在我们头顶上诶
a whole mountain on the roof right now
""", tints=("9B9B9B", "FFD302", "4266BE"), white=0.78, crowd=(8, 17, 23, 21, 18, 15, 7), shouts="""
进隧道了！ | 进隧道了！ | 进隧道了！！ | 进隧道了！！！ | 黑了 | 黑了黑了 | 啊啊啊黑了 | 进洞啦 | 憋气！ | 憋气！ | 呜—— | 关灯了
tunnel!! | tunnel!! | tunnel!! | TUNNEL | TUNNEL!!! | here we go | hold your breath! | whoooosh | my ears | 🌑 | 🌑🌑🌑 | dark!! | 耳朵！
""")

INSIDE = Scene(79.5, 91.5, """
现在全靠弹幕照明 // 哈哈哈哈 // true
{FFFF00} we are the light now ✨
{FFFF00} 我来点一盏 💡 // 💡 // 💡 // 💡
{rail} 这洞当年两头一起挖，中间只差不到一掌 // 厉害 // wow
less than a hand, inside a mountain??
{far} still holding my breath // 快呼吸！ // please breathe
我从倒影里看见主播的保温杯了
goji berries, surely
{host} 是红枣 // 更养生了哈哈
{kid} she wants to know who lives in here // bears, asleep
还有一些很安静的石头
{far} ok I breathed // 哈哈哈哈
{thesis} 结论第一句，在黑暗中诞生 // 恭喜！
I see a dot of light // 哪里哪里
""")

OUT = Scene(92, 96, """
进去是黑的，出来是蓝的
hello again, sky
山这边的雪厚好多
""", tints=("89D5FF", "4266BE", "019899"), white=0.7, crowd=(6, 9, 7, 4), shouts="""
出来了！ | 出来了！ | 亮了 | 天蓝了 | 哇 | 可以呼吸了
out! | we're out! | it's blue! | breathe! | wow | 💙
""")

BLUE = Scene(97.5, 117, """
这种蓝色叫什么
no name, it only lasts ten minutes
树都穿上了白外套
{nurse} 看着看着，肩膀松下来了
footprints along the fence, going one way only
有一间屋子的烟囱冒烟了
{knit 89D5FF} row 48. out of excuses to stop
电线上一排鸟，像还没写完的谱子
I could live in this pause
""", tints=("89D5FF", "4266BE", "9B9B9B"))

STATION = Scene(118, 141, """
{host top} 前方小站，停一小会儿 · a short stop // 减速了
the brakes are singing
站台的灯是暖黄色的 // 想下去站一会儿
one man on the platform, with a dog // dog!! // 🐶 // 狗！
狗在摇尾巴 // 它认识这趟车
有人提着灯，好帅
{rail} 那是接车的值班员。那样的灯我提过半辈子 // 师傅……
now I'm emotional about a lamp // same
the man with the dog found his person // my heart
抱住了抱住了 // 呜呜
granny with two huge bags, somebody help // 有人去了！
that boy just carried both. respect // 👏 // 👏 // 好人
{noodle} 面好了，我先吃为敬 // 三分钟早过了吧 // finally
站名被雪盖住了，只剩一个“口” // 什么口？
{noodle} 软是软了点，热乎 // 哈哈哈哈
a village called Something Mouth, I want to live there
{kid} she is waving at the platform // 👋 // 👋
提灯的人朝窗户挥手了！ // he waved back!!
{kid} she will never forget this // 🥹
""")

MEADOW = Scene(141.6, 148.2, """
开了 // 狗狗再见 // bye dog
咣当那一下好舒服
two got off, one got on, and a dog is happy
再见，没记住名字的小站
{rail} 出站这片草甸常有动物，盯着左边 // 盯着了
eyes left, everyone // 👀 // 👀
雪地上有一串新脚印
""")

FOX = Scene(148.6, 155.6, """
{FF7204 large} 狐狸！！
{large} FOX!! LEFT!!
差点喊出声，全家还在睡
I just woke up the whole house
它在跟火车赛跑
and it's winning
是刚才那只狗吗？
尾巴那么大，不可能是狗
{FF7204} one spark on a white page
全白里面一点红
它看镜头了！！
it LOOKED at us
{cat} CAT IS BACK. CAT IS SCREAMING
截到了，糊的，珍藏
my screenshot is a blur and I will frame it
师傅神了，真的在左边
he TOLD us, left side!!
后面还有鹿！
two deer behind it, two!!
鹿！！！
deer!! 🦌🦌
一只狐狸两只鹿，一车厢的人类
{kid} she says it is late for school
加油小狐狸
run, little one
雪都被它跑起来了
{far} this. this is why I am awake
主播的手稳住啊
it jumps like the snow is warm
""", tints=("FF7204", "FFAA02", "FE0302", "A0EE00"), white=0.74, crowd=(7, 18, 24, 22, 19, 16, 8), shouts="""
狐狸！！ | 狐狸！！ | 狐狸！！！ | 狐狸狐狸 | 左边左边 | 啊啊啊啊 | 啊啊啊啊 | 好可爱 | 好可爱！ | 看到了！ | 尾巴！ | 哇哇哇 | 跑起来了
fox!! | fox!! | FOX | FOX!!! | a fox!! | 🦊 | 🦊 | 🦊🦊🦊 | so fluffy | omg | omg omg | look at it go | LEFT | the tail!!
""")

WITNESSES = Scene(156, 171, """
钻进林子了 // 拜拜 🦊 // bye bye 🦊
gone into the trees, like a full stop
刚才去倒水的人，我不敢告诉你 // 哈哈哈哈 // oh no
I WAS FILLING THE KETTLE // 哈哈哈哈 // 抱抱 // 😭😂
有回放的，别哭 // there is a replay, breathe
{thesis} 刚才那段写进致谢了 // 哈哈哈哈
thanks to my supervisor and one fox // 😂
{kid} she has decided to become a fox // great career // 好职业
到底是狐狸还是鹿 // 都有！ // both!
fox first, then two deer, I will testify
{rail} 三十年见过七次，今天第八次 // 哇 // eight!
{cat} update: she now guards the left edge of the screen // 哨兵猫 // good girl
{nurse} 今天最好的事，发生在下班以后
给主播加鸡腿 // 给狐狸也加一个
{host} 是我的手在抖，不是车 // 哈哈哈哈 // we noticed :)
{count} 光顾着看，忘数桥了，算了
""")

LAKE = Scene(172.5, 191, """
上桥了，声音一下变空了
the bridge hums one note lower than the tunnel
下面是湖，冻成一面没擦的镜子
{019899} three little tents on the ice, asleep
东边的云底有一点粉
雪停了，什么时候停的
nobody saw it stop
{knit CC0273} last row. it came out long enough for two
{far} my street is dark and my screen is turning pink
""", tints=("CC0273", "89D5FF", "019899"))

BEND = Scene(191.6, 203.6, """
这站不停，直接过 // 唰——
one lamp, one bench, gone
长椅上坐着一个雪人！ // ⛄ // 看到了！
the snowman had a ticket, I swear // 哈哈哈哈
{FFD302} 山顶亮了！只有山顶 // 金色的 // look at the peak
the peaks get it first, lucky them
{host top FFAA02} 转过前面这个弯就是东边 · east is around the bend
先停下手里的事 // 停了 // stopped
wake your people up // 我把室友摇醒了 // 室友：？
{kid} we are both pressed against the screen // 🥹
{thesis} 还差两行，先看太阳
{FF7204} 前方高能，物理意义上的 // 哈哈哈哈
any second now // 来了来了
""", tints=("FFD302", "FFAA02", "CC0273"))

SUNRISE = Scene(204, 213, """
{FFD302 large} 太阳！！
{FFAA02 large} SUNRISE
雪全变成金的了
the whole snowfield just switched on
光照到小桌上了
it reached the host's cup
{FFD302} 保温杯都在发光
{knit} done. the scarf and the night, same minute
I'm crying at a train window
眼泪说来就来
{rail} 鸣笛了，听
{large} 呜————
the HORN!!
{nurse} 拉窗帘之前，先说一声早安
影子！火车的影子在雪上跑
look at our shadow running on the snow
{far} good morning from the middle of my night
我们都在那道影子里
every window has one of us in it
{cat} there is a sunbeam on the cat and it comes out of the monitor
室友说谢谢我摇醒他
{kid} she said: hello, sun
今天会是好天
okay world, let's go again
{count} 27 个隧道换一个太阳，值
27 tunnels for one sun, fair price
新壁纸有了
new wallpaper, thank you
快许愿
make a wish, quick
新的一天，请多关照
from black to gold in four minutes
这一秒想寄给所有人
sending this second to my mom
""", tints=("FFD302", "FFAA02", "FF7204", "FFFF00", "FE0302"), white=0.68,
    crowd=(8, 16, 20, 24, 25, 22, 19, 16, 9), shouts="""
太阳！！ | 日出了！ | 日出了！！ | 早安 | 早安 | 早安 | 早安！ | 早安！！ | 早安～ | 大家早安 | 哇 | 哇啊啊啊 | 好美 | 好美啊 | 天亮了 | 天亮了！ | 金色的！ | 出来了出来了
sunrise!! | sunrise!! | SUNRISE!!! | good morning | good morning | good morning!! | GOOD MORNING | morning everyone | the sun!! | wow | wooow | beautiful | so beautiful | ☀️ | ☀️ | ☀️☀️☀️ | 🌅 | 🌅 | 😭
""")

MORNING = Scene(213.4, 229, """
晃得睁不开眼，舍不得闭
brightness 100%, blanket 100%
早安，靠窗的各位 // 早安 // 早安～ // morning
good morning from a kitchen with burnt toast // 快开窗 // 哈哈哈哈
早安，来自第一班公交 // 早
good morning from a library basement, I needed this
{noodle} 汤也喝完了，早安 // 这才叫早餐
{thesis A0EE00 large} 写完了！！！ // 恭喜！！ // CONGRATS // 🎉 // 🎉🎉
thesis done, fox seen, sun up
{far} now I can sleep // 晚安！ // good night, friend // 晚安 💤
good night and good morning in one chat, I love this room // 同感
{nurse} 我也去睡啦，谢谢大家陪我下班 // 好梦 // sleep well
{kid} she asks if the fox saw it too // 看到了，第一排 // front row
{knit} who wants a scarf for two // 我！ // me and the snowman
{cat} the guard has fallen asleep on duty // 批准 // 😹
{rail} 进站前最后一个弯了，慢慢看 // 谢谢师傅 // thank you ❤️
""", tints=("FFD302", "FFAA02", "00CD00", "A0EE00"))

ARRIVAL = Scene(229.6, LAST_S, """
快到站了，行李不想收
no luggage here, and still I don't want to get off
{host top FFD302} 终点站到了，谢谢同车 · thank you for riding along
下一趟夜车见
{bottom} see you on the next night train 🌙
外面冷，多穿一件
""")

JOURNEY = (
    BOARDING, SNOW, COMPANY, PORTAL, TUNNEL, INSIDE, OUT, BLUE, STATION,
    MEADOW, FOX, WITNESSES, LAKE, BEND, SUNRISE, MORNING, ARRIVAL,
)  # fmt: skip
